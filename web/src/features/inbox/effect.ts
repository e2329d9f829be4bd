import type { ChangeDocument, GraphItem } from "../../api/plans";
import { hours, span, usd } from "../../ui/format";
import type { Usual } from "../workflows/usual";

/** A figure of what follows, with what explains it. */
export interface Figure {
  value: string;
  note: string;
}

export interface Known {
  /** What the run has spent. */
  spent: number;
  /** Milliseconds that it has worked. */
  worked: number;
  often: Usual | null;
  item: Pick<GraphItem, "key" | "estimate_usd" | "critical"> | null;
  /** What the plan says if the item becomes done. */
  change: Pick<ChangeDocument, "consequences"> | null;
  /** Hours that the item may be late without moving the plan's end. */
  slack: number | null;
  /** What is left of the month's budget. */
  left: number | null;
}

/** What a yes is expected to cost, what it lets begin, and what it does to the plan's end. */
export function effect(known: Known): { cost: Figure; starts: Figure | null; end: Figure | null } {
  const { often, change, item, slack } = known;
  return {
    cost: cost(known, often),
    starts: change && {
      value: change.consequences.unblocked.length === 1 ? "1 item" : `${change.consequences.unblocked.length} items`,
      note: change.consequences.unblocked.length ? `can start when ${item?.key ?? "it"} is done: ${names(change.consequences.unblocked.map((one) => one.key))}` : `nothing waits for ${item?.key ?? "it"} alone`,
    },
    end: change && end(change, item, slack),
  };
}

function cost({ spent, worked, item, left }: Known, often: Usual | null): Figure {
  const more = often ? Math.max(often.usd - spent, 0) : item?.estimate_usd != null ? Math.max(item.estimate_usd - spent, 0) : null;
  const budget = left != null && more != null ? `; leaves ${usd(Math.max(left - more, 0))} of this month's budget` : "";
  if (often) {
    const time = often.ms > worked ? ` and ${span(often.ms - worked)}` : "";
    return { value: `${usd(more)} more`, note: `runs like this usually cost ${usd(often.usd)}${time ? `;${time.replace(" and", "")} to go` : ""}${budget}` };
  }
  if (more != null) return { value: `up to ${usd(more)}`, note: `what is left of ${item?.key ?? "its"} estimate of ${usd(item?.estimate_usd)}${budget}` };
  return { value: "unknown", note: `${usd(spent)} so far; no run of this workflow has succeeded yet` };
}

function end({ consequences: { finish_hours: finish } }: Pick<ChangeDocument, "consequences">, item: Known["item"], slack: number | null): Figure {
  const by = finish.before - finish.after;
  const wait = item?.critical || slack === 0 ? "each hour it waits moves the plan's end by an hour" : slack != null ? `it may wait ${hours(slack)} before that moves the plan's end` : "";
  const when = `${hours(finish.after)} of work away then`;
  if (by > 0.01) return { value: `${hours(by)} nearer`, note: [when, wait].filter(Boolean).join("; ") };
  return { value: "as planned", note: [`${hours(finish.after)} of work away`, wait].filter(Boolean).join("; ") };
}

function names(keys: string[]): string {
  return keys.length > 3 ? `${keys.slice(0, 3).join(", ")} and ${keys.length - 3} more` : keys.join(", ");
}

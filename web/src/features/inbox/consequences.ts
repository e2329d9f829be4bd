import type { GraphDocument, GraphItem } from "../../api/plans";
import type { ApprovalDocument } from "../../api/schema";
import { hours } from "../../ui/format";

export interface Consequences {
  yes: string[];
  no: string[];
}

/** The items that can start when these are done: all else they wait for is done already. */
export function unblockedBy(items: GraphItem[], done: Set<string>): GraphItem[] {
  const status = new Map(items.map((item) => [item.id, item.status]));
  return items.filter(
    (item) =>
      (item.status === "todo" || item.status === "blocked") && item.depends_on.some((id) => done.has(id)) &&
      item.depends_on.every((id) => done.has(id) || status.get(id) === "done" || status.get(id) === "cancelled" || !status.has(id)),
  );
}

/** What follows from either answer, as far as the ask, its run and the plan it belongs to tell. */
export function consequences(ask: ApprovalDocument, graph?: GraphDocument): Consequences {
  const detail = ask.detail;
  const yes = [String(detail.on_approve ?? (ask.kind === "ask" ? "The run goes on with your answer." : "The run goes on."))];
  const no = [String(detail.on_reject ?? (ask.kind === "ask" ? "The workflow is told so; unless it has planned for a no, the run fails." : "The agent is told so and goes on without it."))];
  if (detail.cost_so_far) yes.push(`${detail.cost_so_far} so far.`);
  const item = graph?.items.find((candidate) => candidate.run_ids.includes(ask.run_id));
  if (graph && item) {
    const waiting = unblockedBy(graph.items, new Set([item.id]));
    if (item.critical) no.push(`${item.key} is on the critical path: the plan's end, ${hours(graph.finish_hours)} of work away, moves with it.`);
    else if (waiting.length) no.push(`${names(waiting)} ${waiting.length === 1 ? "goes" : "go"} on waiting.`);
  }
  if (ask.expires_at) {
    const when = new Date(ask.expires_at).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
    no.push(`No answer until ${when} counts as ${ask.on_timeout === "approve" ? "a yes" : "a no"}.`);
  }
  const quorum = (ask as { quorum?: number }).quorum ?? 1;
  if (quorum > 1) yes.push(`${quorum} people must say yes; yours is one of them.`);
  return { yes, no };
}

function names(items: GraphItem[]): string {
  const shown = items.slice(0, 3).map((item) => item.key).join(", ");
  return items.length > 3 ? `${shown} and ${items.length - 3} more` : shown;
}

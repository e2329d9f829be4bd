import type { RunDocument } from "../../api/schema";

export interface Usual {
  /** Medians of the runs that succeeded. */
  usd: number;
  ms: number;
  succeeded: number;
  ended: number;
}

const ENDED = new Set(["succeeded", "failed", "cancelled"]);

/** What runs of a workflow usually take; null when none has succeeded yet. */
export function usual(runs: Pick<RunDocument, "status" | "cost" | "started_at" | "finished_at">[]): Usual | null {
  const ended = runs.filter((run) => ENDED.has(run.status));
  const good = ended.filter((run) => run.status === "succeeded" && run.started_at && run.finished_at);
  if (!good.length) return null;
  return {
    usd: median(good.map((run) => run.cost.usd)), ms: median(good.map((run) => Date.parse(run.finished_at!) - Date.parse(run.started_at!))),
    succeeded: good.length, ended: ended.length,
  };
}

function median(values: number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

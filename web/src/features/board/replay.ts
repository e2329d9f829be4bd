import type { GraphDocument, GraphItem, ItemStatus } from "../../api/plans";
import type { EventDocument } from "../../api/schema";

/** What the journal says of the runs of a plan, at each moment. */
export interface Moment {
  seq: number;
  at: string;
}

const RUN_STATUS: Record<string, ItemStatus> = {
  "run.created": "running", "run.started": "running", "run.resumed": "running", "approval.requested": "needs_you", "approval.decided": "running",
  "approval.expired": "running", "run.succeeded": "done", "run.failed": "failed", "run.cancelled": "cancelled",
};

/**
 * The plan as it was at a moment: how its items stood and what was spent, by the events of their runs up to then. What
 * was said of an item without a run, and where it stands, is as it is now.
 */
export function replay(graph: GraphDocument, events: EventDocument[], until: number): GraphDocument {
  const status = new Map<string, ItemStatus>();
  const spent = new Map<string, number>();
  for (const event of events) {
    if (event.seq > until || !event.run_id) continue;
    const now = RUN_STATUS[event.type];
    if (now) status.set(event.run_id, now);
    if (event.type === "model.called") spent.set(event.run_id, (spent.get(event.run_id) ?? 0) + Number(event.data.usd ?? 0));
  }
  const items = graph.items.map((item): GraphItem => {
    if (!item.run_ids.length) return item;
    const known = item.run_ids.filter((run) => status.has(run));
    const last = known.at(-1);
    return { ...item, status: last ? status.get(last)! : "todo", actual_usd: known.reduce((sum, run) => sum + (spent.get(run) ?? 0), 0), reason: null };
  });
  const parents = new Set(items.map((item) => item.parent));
  const leaves = items.filter((item) => !parents.has(item.id));
  return {
    ...graph, items, actual_usd: leaves.reduce((sum, item) => sum + item.actual_usd, 0),
    progress: leaves.filter((item) => item.status === "done").length / Math.max(leaves.length, 1),
  };
}

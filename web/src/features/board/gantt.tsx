import { useMemo } from "react";
import type { GraphDocument, GraphItem } from "../../api/plans";
import type { ApprovalDocument } from "../../api/schema";
import { bare, hours } from "../../ui/format";
import { stateOf } from "../../ui/status";
import { type Lane, TimeTrack } from "../../ui/time-track";
import { childrenOf, inOrder } from "./layout";

const DEPTH = { epic: 0, feature: 1, story: 2, task: 3, subtask: 4, atomic: 5 };

/** When what is left can be done: a row for each item, parents as what their items span, the critical path in outline. */
export function Gantt({ graph, asks, chosen, critical, choose }: {
  graph: GraphDocument; asks: Map<string, ApprovalDocument>; chosen: string | undefined; critical: boolean; choose: (id: string) => void;
}) {
  const { lanes, done } = useMemo(() => rows(graph, asks, critical), [asks, critical, graph]);
  const links = useMemo(() => linksOf(graph.items, chosen, critical), [chosen, critical, graph.items]);
  const now = useMemo(() => new Date(), [graph]);
  if (!lanes.length) return <p className="muted" style={{ padding: 16 }}>Nothing is left to do{done ? `: ${done} items are done` : ""}.</p>;
  return (
    <div className="gantt" tabIndex={0} role="group" aria-label="Gantt chart">
      <TimeTrack lanes={lanes} from={0} to={graph.finish_hours} chosen={chosen} choose={choose} links={links} wide
        format={hours} tick={(value) => date(now, value)} label="What is left, in hours of work from now" />
      <p className="muted small gantt-foot">
        If work goes on without pause the plan ends {date(now, graph.finish_hours)}; {graph.critical_path.length} items decide that. {done > 0 && `${done} items are done and not shown.`}
      </p>
    </div>
  );
}

function rows(graph: GraphDocument, asks: Map<string, ApprovalDocument>, critical: boolean): { lanes: Lane[]; done: number } {
  const children = childrenOf(graph.items);
  const decides = decisive(graph.items, children);
  const lanes: Lane[] = [];
  let done = 0;
  for (const item of inOrder(graph.items, children)) {
    const parent = children.has(item.id);
    if (item.finish_hours <= item.start_hours) {
      done += parent ? 0 : 1;
      continue;
    }
    if (critical && !decides.has(item.id)) continue;
    const waits = item.run_ids.some((run) => asks.has(run));
    lanes.push({
      id: item.id, label: item.title, depth: DEPTH[item.kind], hint: item.assignee ? bare(item.assignee) : undefined,
      spans: [{ id: item.id, label: `${item.key} ${item.title}`, state: waits ? "needs" : stateOf(item.status), start: item.start_hours, end: item.finish_hours, sum: parent, critical: item.critical && !parent, done: parent ? item.progress : 0 }],
    });
  }
  return { lanes, done };
}

/** The items on the critical path and everything above them. */
function decisive(items: GraphItem[], children: Map<string, GraphItem[]>): Set<string> {
  const byId = new Map(items.map((item) => [item.id, item]));
  const found = new Set<string>();
  for (const item of items) {
    if (!item.critical || children.has(item.id)) continue;
    for (let at: GraphItem | undefined = item; at && !found.has(at.id); at = at.parent ? byId.get(at.parent) : undefined) found.add(at.id);
  }
  return found;
}

/** What waits for what, for the chosen item or along the critical path: all of them at once would be a thicket. */
function linksOf(items: GraphItem[], chosen: string | undefined, critical: boolean): { from: string; to: string }[] {
  const decides = new Set(items.filter((item) => item.critical).map((item) => item.id));
  return items.flatMap((item) => item.depends_on
    .filter((id) => id === chosen || item.id === chosen || (critical && decides.has(id) && decides.has(item.id)))
    .map((id) => ({ from: id, to: item.id })));
}

function date(now: Date, after: number): string {
  const when = new Date(now.getTime() + after * 3_600_000);
  return when.toLocaleString("en-GB", { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}

import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef } from "react";
import type { GraphDocument } from "../../api/plans";
import type { ApprovalDocument } from "../../api/schema";
import { bare, usd } from "../../ui/format";
import { Shape, stateOf, wordOf } from "../../ui/status";
import { childrenOf, inOrder } from "./layout";

const DEPTH = { epic: 0, feature: 1, story: 2, task: 3, subtask: 4, atomic: 5 };

/** The plan as an indented list: the same items, for a narrow screen or a keyboard. */
export function List({ graph, asks, chosen, critical, choose }: {
  graph: GraphDocument; asks: Map<string, ApprovalDocument>; chosen: string | undefined; critical: boolean; choose: (id: string) => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const items = useMemo(() => {
    return inOrder(graph.items, childrenOf(graph.items)).filter((item) => !critical || item.critical);
  }, [critical, graph.items]);
  const virtual = useVirtualizer({ count: items.length, getScrollElement: () => box.current, estimateSize: () => 34, overscan: 10, getItemKey: (index) => items[index]!.id });
  return (
    <div className="plan-list" ref={box}>
      <ul style={{ height: virtual.getTotalSize(), position: "relative" }} aria-label="Items">
        {virtual.getVirtualItems().map((row) => {
          const item = items[row.index]!;
          const waits = item.run_ids.some((run) => asks.has(run));
          return (
            <li key={row.key} style={{ transform: `translateY(${row.start}px)` }}>
              <button type="button" aria-pressed={item.id === chosen} onClick={() => choose(item.id)} style={{ paddingLeft: 8 + DEPTH[item.kind] * 14 }}>
                <Shape state={waits ? "needs" : stateOf(item.status)} />
                <span className={DEPTH[item.kind] < 3 ? "clip strong" : "clip"}>{item.title}</span>
                <span className="mono muted key">{item.key}</span>
                <span className="muted who clip">{item.assignee ? bare(item.assignee) : ""}</span>
                <span className="muted state">{wordOf(item.status)}</span>
                <span className="num r">{usd(item.actual_usd)} / {usd(item.estimate_usd)}</span>
              </button>
            </li>
          );
        })}
      </ul>
    </div>
  );
}

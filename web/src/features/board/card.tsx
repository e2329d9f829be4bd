import { Handle, type Node, type NodeProps, Position } from "@xyflow/react";
import { memo, useMemo } from "react";
import type { GraphItem } from "../../api/plans";
import type { ApprovalDocument } from "../../api/schema";
import { Spend } from "../../ui/chart";
import { bare, usd } from "../../ui/format";
import { Shape, stateOf } from "../../ui/status";
import { takesPlainYes } from "../inbox/ask-tile";
import { decide } from "../runs/actions";
import { type Line, lineOf } from "../runs/lines";
import { useRunEvents } from "../runs/use-run-events";
import { CARD } from "./layout";
import { useLastLine } from "./last-line";

/** How much a card says, by how near it is. */
export type Level = "far" | "middle" | "words" | "near" | "log";

export type CardNode = Node<{ item: GraphItem; ask?: ApprovalDocument | undefined; after: string; dim: boolean; level: Level }, "card">;

/** Handles at fixed places: xyflow measures nothing. */
export const HANDLES = [
  { id: "in", type: "target" as const, position: Position.Left, x: -4, y: CARD.height / 2 - 4, width: 8, height: 8 },
  { id: "out", type: "source" as const, position: Position.Right, x: CARD.width - 4, y: CARD.height / 2 - 4, width: 8, height: 8 },
];

/** One item: far away a tessera, near a card with what its agent says, what it costs, and a yes where it waits for one; nearer still, its log. */
export const Card = memo(function Card({ data, selected }: NodeProps<CardNode>) {
  const { item, ask, dim, level } = data;
  const state = stateOf(item.status);
  const kind = `card ${state}${selected ? " chosen" : ""}${item.critical ? " critical" : ""}${dim ? " dim" : ""}`;
  const run = item.run_ids[item.run_ids.length - 1];
  if (level === "middle" || level === "far") return <div className={`${kind} far`} style={CARD}><Spend spent={item.actual_usd} of={item.estimate_usd} />{ends}</div>;
  if (level === "words") return <div className={`${kind} words`} style={CARD}><span>{item.title}</span><Spend spent={item.actual_usd} of={item.estimate_usd} />{ends}</div>;
  return (
    <div className={kind} style={CARD}>
      <div className="row" style={{ gap: 6 }}>
        <Shape state={state} size={11} />
        <span className="clip strong">{item.title}</span>
      </div>
      {level === "log" && run ? <CardLog run={run} /> : <SecondLine run={run} status={item.status} after={data.after} reason={item.reason} />}
      <div className="row small num">
        <span className="clip">{item.assignee ? bare(item.assignee) : "unassigned"}</span>
        {ask && takesPlainYes(ask)
          ? <button type="button" className="button act tiny right nodrag" title={String(ask.detail.on_approve ?? ask.title)} onClick={() => void decide(ask, true, {})}>Approve</button>
          : <span className="right">{usd(item.actual_usd)} / {usd(item.estimate_usd)}</span>}
      </div>
      <Spend spent={item.actual_usd} of={item.estimate_usd} />
      {ends}
    </div>
  );
});

function SecondLine({ run, status, after, reason }: { run: string | undefined; status: string; after: string; reason: string | null }) {
  const line = useLastLine(status === "running" || status === "needs_you" ? run : undefined);
  return <div className="mono clip muted second">{line?.text ?? reason ?? after}</div>;
}

const SHOWN = 7;

/** The last lines of a run, small: they are read from so near that they are large. */
function CardLog({ run }: { run: string }) {
  const { events, loading } = useRunEvents(run);
  const lines = useMemo(() => events.map(lineOf).filter((line): line is Line => line !== null).slice(-SHOWN), [events]);
  return (
    <div className="card-log nodrag" role="log" aria-label="Output of the run" aria-live="off">
      {loading && <p className="muted">reading…</p>}
      {lines.map((line) => <p key={line.seq} className={`clip ${line.tone}`}><b>{line.who}</b> {line.text}</p>)}
    </div>
  );
}

const ends = (
  <>
    <Handle id="in" type="target" position={Position.Left} />
    <Handle id="out" type="source" position={Position.Right} />
  </>
);

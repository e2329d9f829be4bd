import { Link } from "@tanstack/react-router";
import type { RunDocument } from "../../api/schema";
import { ago, shortId, usd } from "../../ui/format";
import { Shape, stateOf, wordOf } from "../../ui/status";

/** Runs as rows: how each stands, what it cost. */
export function RunRows({ items }: { items: RunDocument[] }) {
  return (
    <ul className="rows">
      {items.map((run) => (
        <li key={run.id}>
          <Link to="/runs/$runId" params={{ runId: run.id }} search={{ step: undefined }} className="run-row">
            <Shape state={stateOf(run.status)} />
            <span className="strong clip">{run.workflow}</span>
            <span className="mono muted clip id">{shortId(run.id)}</span>
            <span className="muted">{wordOf(run.status)}</span>
            <span className="num r">{usd(run.cost.usd)}</span>
            <span className="muted r when">{ago(run.created_at)}</span>
          </Link>
        </li>
      ))}
    </ul>
  );
}

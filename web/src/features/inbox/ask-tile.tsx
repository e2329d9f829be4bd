import { Link } from "@tanstack/react-router";
import type { ApprovalDocument } from "../../api/schema";
import { bare } from "../../ui/format";
import { decide } from "../runs/actions";

/** Says whether a plain yes answers an ask, or whether it wants more than that. */
export function takesPlainYes(ask: ApprovalDocument): boolean {
  return !Array.isArray(ask.detail.choices);
}

/** An ask where it is in sight of something else: what, who, and a yes. The inbox shows the rest. */
export function AskTile({ ask }: { ask: ApprovalDocument }) {
  const what = String(ask.detail.tool ?? ask.detail.question ?? "");
  const on = ask.detail.arguments as Record<string, unknown> | undefined;
  const place = on ? Object.values(on).find((value) => typeof value === "string") : undefined;
  return (
    <div className="ask-tile">
      <div className="stack" style={{ gap: 0 }}>
        <Link to="/inbox" search={{ ask: ask.id, show: undefined }} className="strong ask-title">{ask.title}</Link>
        <span className="muted small clip">{[bare(ask.requested_by), what && what !== ask.title ? what : null, place].filter(Boolean).join(" · ")}</span>
      </div>
      {takesPlainYes(ask) ? (
        <button type="button" className="button act right" aria-label={`Approve: ${ask.title}`} title={String(ask.detail.on_approve ?? "The run goes on.")} onClick={() => void decide(ask, true, {})}>Approve</button>
      ) : (
        <Link to="/inbox" search={{ ask: ask.id, show: undefined }} className="button right">Answer</Link>
      )}
    </div>
  );
}

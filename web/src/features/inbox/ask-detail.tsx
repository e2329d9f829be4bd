import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type Ref, useEffect, useImperativeHandle, useState } from "react";
import { api } from "../../api/client";
import type { GraphDocument } from "../../api/plans";
import type { ApprovalDocument, ApprovalPreview, Approve } from "../../api/schema";
import { Diff } from "../../ui/diff";
import { ago, bare, oneLine, shortId } from "../../ui/format";
import { Status } from "../../ui/status";
import { decide } from "../runs/actions";
import { consequences } from "./consequences";
import { EffectFigures } from "./effect-figures";

export interface AskHandle {
  answer: (yes: boolean) => void;
}

type Scope = "once" | "run" | "always";
const SCOPES: { value: Scope; label: string }[] = [
  { value: "once", label: "Once" },
  { value: "run", label: "For this run" },
  { value: "always", label: "Always" },
];

/** An ask as a whole: why, what exactly, what follows from yes and from no, and the answer. */
export function AskDetail({ ask, graph, ref, after }: { ask: ApprovalDocument; graph: GraphDocument | undefined; ref: Ref<AskHandle>; after: () => void }) {
  const [note, setNote] = useState("");
  const [answer, setAnswer] = useState<unknown>(undefined);
  const [scope, setScope] = useState<Scope>("once");
  const [hint, setHint] = useState("");
  useEffect(() => {
    if (answer !== undefined) setHint("");
  }, [answer]);
  const detail = ask.detail;
  const choices = Array.isArray(detail.choices) ? detail.choices : null;
  const open = ask.status === "pending";
  const give = (yes: boolean) => {
    if (!open) return;
    if (yes && choices && answer === undefined) {
      setHint("Choose an answer first.");
      return;
    }
    const said = note.trim() ? { note: note.trim() } : {};
    const more: Approve = yes ? { ...(answer !== undefined ? { answer: choices ? answer : asValue(String(answer)) } : {}), ...(scope !== "once" ? { scope } : {}) } : {};
    after();
    void decide(ask, yes, { ...said, ...more });
  };
  useImperativeHandle(ref, () => ({ answer: give }));
  return (
    <article className="ask">
      <header className="head wrap">
        <h2 style={{ font: "620 16px/24px var(--sans)" }}>{ask.title}</h2>
        <span className="right"><Status status={ask.status} /></span>
      </header>
      <p className="muted">
        {bare(ask.requested_by)}, {ago(ask.requested_at)}, in <Link to="/runs/$runId" params={{ runId: ask.run_id }} search={{ step: ask.path || undefined }}>{ask.path || shortId(ask.run_id)}</Link>
      </p>
      {detail.why != null && detail.why !== "" && <section><h3>Why</h3><p className="why">{String(detail.why)}</p></section>}
      <Facts ask={ask} />
      {typeof detail.diff === "string" && detail.diff && <section><h3>What it would change</h3><Diff text={detail.diff} /></section>}
      <EffectFigures ask={ask} graph={graph} />
      <Outcome ask={ask} graph={graph} />
      {open ? (
        <>
          {choices && (
            <fieldset className="choices">
              <legend className="strong">Your answer</legend>
              {choices.map((choice, index) => (
                <label key={index} className="row"><input type="radio" name="answer" checked={answer === choice} onChange={() => setAnswer(choice)} /> {oneLine(choice)}</label>
              ))}
            </fieldset>
          )}
          {ask.kind === "ask" && !choices && (
            <label><span className="strong">Your answer <span className="muted">(optional)</span></span>
              <input className="field" value={typeof answer === "string" ? answer : ""} onChange={(event) => setAnswer(event.target.value || undefined)} />
            </label>
          )}
          <label><span className="strong">Note <span className="muted">(the agent reads it)</span></span>
            <textarea className="field" rows={2} maxLength={4000} value={note} onChange={(event) => setNote(event.target.value)} />
          </label>
          {ask.kind === "tool" && <HowLong ask={ask} scope={scope} choose={setScope} />}
          {hint && <p role="alert" className="notice ask">{hint}</p>}
          <div className="row wrap answer">
            <button type="button" className="button act" onClick={() => give(true)}>{scope === "once" ? "Approve" : scope === "run" ? "Approve for this run" : "Approve always"} <kbd>A</kbd></button>
            <button type="button" className="button no" onClick={() => give(false)}>Reject <kbd>R</kbd></button>
          </div>
        </>
      ) : (
        <p className="notice">
          {ask.status} {ask.decided_by && <>by {bare(ask.decided_by)}</>} {ask.decided_at && ago(ask.decided_at)}{ask.note && <>: “{ask.note}”</>}
        </p>
      )}
    </article>
  );
}

/** An answer as JSON when it is some, else as the text it is; the same as at the terminal. */
function asValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function Facts({ ask }: { ask: ApprovalDocument }) {
  const detail = ask.detail;
  const given = detail.arguments && typeof detail.arguments === "object" ? Object.entries(detail.arguments) : [];
  const question = typeof detail.question === "string" && detail.question !== ask.title ? detail.question : null;
  return (
    <dl className="facts">
      {question && <><dt>Question</dt><dd style={{ whiteSpace: "pre-wrap" }}>{question}</dd></>}
      {detail.tool != null && <><dt>Tool</dt><dd><code>{String(detail.tool)}</code> <span className="tag warn">{String(detail.risk)}</span> {detail.description != null && <span className="muted">{String(detail.description)}</span>}</dd></>}
      {given.map(([name, value]) => [<dt key={`t${name}`} className="mono">{name}</dt>, <dd key={`d${name}`}><code style={{ whiteSpace: "pre-wrap" }}>{typeof value === "string" ? value : JSON.stringify(value, null, 1)}</code></dd>])}
      {detail.command != null && <><dt>Command</dt><dd><code>{oneLine(detail.command, 2_000)}</code></dd></>}
      {detail.detail != null && <><dt>Detail</dt><dd>{typeof detail.detail === "string" ? detail.detail : <pre className="code">{JSON.stringify(detail.detail, null, 2)}</pre>}</dd></>}
      {detail.note != null && <><dt>Note</dt><dd>{String(detail.note)}</dd></>}
      {detail.reason != null && <><dt>Asked because</dt><dd>{String(detail.reason)}</dd></>}
    </dl>
  );
}

function Outcome({ ask, graph }: { ask: ApprovalDocument; graph: GraphDocument | undefined }) {
  const { yes, no } = consequences(ask, graph);
  return (
    <div className="outcome">
      <section className="yes"><h3>If you approve</h3><ul>{yes.map((line) => <li key={line}>{line}</li>)}</ul></section>
      <section className="no"><h3>If you reject</h3><ul>{no.map((line) => <li key={line}>{line}</li>)}</ul></section>
    </div>
  );
}

/** How long a yes holds; for more than once, the server says which calls it would hold for. */
function HowLong({ ask, scope, choose }: { ask: ApprovalDocument; scope: Scope; choose: (scope: Scope) => void }) {
  const preview = useQuery({
    queryKey: ["asks", ask.id, "preview", scope],
    queryFn: ({ signal }) => api<ApprovalPreview>(`/approvals/${ask.id}/preview`, { method: "POST", body: { scope }, signal }),
    enabled: scope !== "once",
  });
  return (
    <div className="stack">
      <div className="row wrap" role="radiogroup" aria-label="How long the yes holds">
        {SCOPES.map((item) => (
          <label key={item.value} className="row" style={{ gap: 4 }}><input type="radio" name="scope" checked={scope === item.value} onChange={() => choose(item.value)} /> {item.label}</label>
        ))}
      </div>
      {scope !== "once" && preview.data?.holds_for && <p className="notice ask">It would hold for: {preview.data.holds_for}</p>}
    </div>
  );
}

import { useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { EventDocument, RunDocument } from "../../api/schema";
import { Diff } from "../../ui/diff";
import { clock, count, oneLine, span as duration, usd } from "../../ui/format";
import { Shape } from "../../ui/status";
import { rerunFrom } from "./actions";
import { inside, type RunView, topStep, total } from "./fold";

const SHOWN = new Set(["model.called", "model.failed", "tool.called", "tool.failed", "tool.denied", "tool.rejected", "agent.message", "retry", "step.retrying", "handoff.made", "approval.requested", "approval.decided"]);

/** What one step, or one agent's work, consisted of: its model calls, tools, retries, changes and cost. */
export function StepDetail({ run, view, path, close }: { run: RunDocument; view: RunView; path: string; close: () => void }) {
  const go = useNavigate();
  const span = view.spans.find((item) => item.path === path);
  const sum = useMemo(() => total(view.spans, path), [path, view.spans]);
  const events = useMemo(
    () => view.spans.filter((item) => item.path === path || inside(item.path, path)).flatMap((item) => item.events).filter((event) => SHOWN.has(event.type)).sort((one, other) => one.seq - other.seq),
    [path, view.spans],
  );
  const rerun = async () => {
    const made = await rerunFrom(run.id, topStep(path));
    if (made) void go({ to: "/runs/$runId", params: { runId: made.id }, search: { step: undefined } });
  };
  return (
    <section className="tile" aria-label="Step">
      <div className="head wrap">
        {span && <Shape state={span.state} />}
        <h2 className="mono clip">{path}</h2>
        <span className="muted">{[span?.kind, span?.agent].filter(Boolean).join(", ")}</span>
        <span className="right row">
          <button type="button" className="button" onClick={() => void rerun()}>Rerun from {topStep(path)}</button>
          <button type="button" className="button" onClick={close} aria-label="Close">✕</button>
        </span>
      </div>
      <p className="muted num" style={{ marginBottom: 8 }}>
        {span?.end && `${duration(span.end - span.start)}, `}{usd(sum.usd)}, {count(sum.tokens)} tokens, {sum.calls} model calls, {sum.tools} tool calls{sum.retries > 0 && `, ${sum.retries} retries`}
      </p>
      {span?.error && <div className="notice bad">{span.error}</div>}
      <ol className="entries">{events.map((event) => <Entry key={event.seq} event={event} />)}</ol>
      {events.length === 0 && <p className="muted">Nothing was recorded in it yet.</p>}
    </section>
  );
}

function Entry({ event }: { event: EventDocument }) {
  const [open, setOpen] = useState(false);
  const data = event.data;
  const failed = /failed|denied|rejected|retry/.test(event.type);
  const diff = typeof data.diff === "string" ? data.diff : typeof (data.result as { diff?: unknown } | undefined)?.diff === "string" ? String((data.result as { diff: string }).diff) : null;
  if (event.type === "agent.message") return data.text ? <li className="said"><time className="mono muted">{clock(event.occurred_at)}</time><p>{String(data.text)}</p></li> : null;
  return (
    <li>
      <button type="button" className="entry" aria-expanded={open} onClick={() => setOpen(!open)}>
        <time className="mono muted">{clock(event.occurred_at)}</time>
        <Shape state={failed ? "failed" : event.type === "approval.requested" ? "needs" : "done"} size={9} />
        <span className="clip">{headline(event)}</span>
        {data.duration_ms != null && <span className="muted num right">{duration(Number(data.duration_ms))}</span>}
        {data.latency_ms != null && <span className="muted num right">{duration(Number(data.latency_ms))}</span>}
      </button>
      {open && (
        <div className="stack" style={{ padding: "4px 0 8px" }}>
          {diff && <Diff text={diff} />}
          <pre className="code" tabIndex={0}>{JSON.stringify(data, null, 2)}</pre>
        </div>
      )}
    </li>
  );
}

function headline(event: EventDocument): string {
  const data = event.data;
  if (event.type === "model.called") return `${data.agent ?? "model"} asked ${oneLine(String(data.model).split("/").pop(), 40)}: ${data.input_tokens} → ${data.output_tokens} tokens, ${usd(data.usd as number | null)}`;
  if (event.type.startsWith("tool.")) return `${data.tool} ${oneLine(data.arguments, 160)}`;
  if (event.type === "handoff.made") return `${data.from} → ${data.to}: ${oneLine(data.task, 160)}`;
  if (event.type === "approval.requested") return String(data.title);
  if (event.type === "approval.decided") return `${data.status} by ${data.by ?? "nobody"}`;
  return `${event.type} ${oneLine(data.error ?? data.reason ?? "", 160)}`;
}

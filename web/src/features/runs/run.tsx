import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { artifacts, asks, run as runQuery, workflow as workflowQuery } from "../../api/queries";
import type { EventDocument, RunDocument } from "../../api/schema";
import { Figure, Top } from "../../app/top";
import { Dialog } from "../../ui/dialog";
import { Empty, Loading, Trouble } from "../../ui/empty";
import { count, oneLine, shortId, span as duration, usd } from "../../ui/format";
import { Log } from "../../ui/log";
import { Status } from "../../ui/status";
import { type Lane, TimeTrack } from "../../ui/time-track";
import { AskTile } from "../inbox/ask-tile";
import { FlowGraph } from "../workflows/graph";
import { cancelRun, rerunFrom } from "./actions";
import { fold, inside, type RunView, stepStates, topStep } from "./fold";
import { type Line, lineOf } from "./lines";
import { StepDetail } from "./step-detail";
import { useRunEvents } from "./use-run-events";

const route = getRouteApi("/runs/$runId");
const ENDED = new Set(["succeeded", "failed", "cancelled"]);

/** One run: who did what when, what it says now, what it cost, and what a person can do about it. */
export function RunScreen() {
  const { runId } = route.useParams();
  const { step, view: shownAs } = route.useSearch();
  const go = route.useNavigate();
  const shown = useQuery(runQuery(runId));
  const { events, error, loading } = useRunEvents(runId);
  const view = useMemo(() => fold(events), [events]);
  const lines = useMemo(() => events.map(lineOf).filter((line) => line !== null), [events]);
  const choose = (path: string | undefined) => void go({ search: (known) => ({ ...known, step: path }), replace: true });
  if (shown.isError) return <><Top title="Run" name="Run" /><div className="tile"><Trouble error={shown.error} retry={() => void shown.refetch()} /></div></>;
  if (!shown.data || loading) return <><Top title="Run" name="Run" /><div className="tile page"><Loading what="Reading the journal" /></div></>;
  const run = shown.data;
  const mine = step ? lines.filter((line) => line.path === step || inside(line.path, step)) : lines;
  return (
    <>
      <RunTop run={run} view={view} />
      <div className="page run">
        <div className="stack">
          <How run={run} events={events} view={view} graph={shownAs === "steps"} chosen={step} choose={(path) => choose(path === step ? undefined : path)} show={(name) => void go({ search: (known) => ({ step: known.step, ...(name ? { view: name } : {}) }), replace: true })} />
          {error != null && <div className="tile"><Trouble error={error} /></div>}
          {step ? <StepDetail run={run} view={view} path={step} close={() => choose(undefined)} /> : <Summary run={run} view={view} />}
        </div>
        <div className="stack side">
          <Asks run={run} />
          <section className="tile output" aria-label="Output">
            <div className="head">
              <h2>{step ? <>Output of <code>{step}</code></> : "Output"}</h2>
              {step && <button type="button" className="button right" onClick={() => choose(undefined)}>Show all</button>}
            </div>
            {mine.length ? <Log lines={mine} label="Output of the run" wrap choose={(line: Line) => choose(line.path || undefined)} /> : <Empty>Nothing was said yet.</Empty>}
          </section>
        </div>
      </div>
    </>
  );
}

function RunTop({ run, view }: { run: RunDocument; view: RunView }) {
  const [asking, setAsking] = useState<"cancel" | "rerun" | null>(null);
  const over = ENDED.has(run.status);
  const took = useElapsed(run);
  return (
    <Top name={`${run.workflow} ${shortId(run.id)}`} title={<span className="row"><span className="clip">{run.workflow}</span><span className="crumb mono clip">{shortId(run.id)}</span></span>}>
      <Status status={run.status} />
      <Figure label="Took" wide>{duration(took)}</Figure>
      <Figure label={run.cost.limit_usd != null ? `of ${usd(run.cost.limit_usd)}` : "Spent"}>{usd(run.cost.usd)}</Figure>
      <Figure label="Tokens" wide>{count(run.cost.tokens)}</Figure>
      <span className="row">
        {!over && <button type="button" className="button no" onClick={() => setAsking("cancel")}>Cancel</button>}
        <button type="button" className="button" onClick={() => setAsking("rerun")}>Rerun…</button>
      </span>
      <CancelDialog run={run} open={asking === "cancel"} close={() => setAsking(null)} />
      <RerunDialog run={run} view={view} open={asking === "rerun"} close={() => setAsking(null)} />
    </Top>
  );
}

function CancelDialog({ run, open, close }: { run: RunDocument; open: boolean; close: () => void }) {
  return (
    <Dialog title="Cancel this run?" open={open} close={close}>
      <p>Everything it does stops, on whichever node. {usd(run.cost.usd)} is spent and stays spent; what was recorded is kept, so that it can be started again from any step.</p>
      <div className="row" style={{ marginTop: 12, justifyContent: "flex-end" }}>
        <button type="button" className="button" onClick={close}>Let it run</button>
        <button type="button" className="button no" onClick={() => { close(); void cancelRun(run.id); }}>Cancel the run</button>
      </div>
    </Dialog>
  );
}

function RerunDialog({ run, view, open, close }: { run: RunDocument; view: RunView; open: boolean; close: () => void }) {
  const go = useNavigate();
  const steps = view.spans.filter((span) => span.path === topStep(span.path));
  const start = async (step: string) => {
    close();
    const made = await rerunFrom(run.id, step);
    if (made) void go({ to: "/runs/$runId", params: { runId: made.id }, search: { step: undefined } });
  };
  return (
    <Dialog title="Rerun from a step" open={open} close={close}>
      <p className="muted">A new run keeps every result before the step; the step and what follows are done, and paid, again.</p>
      <ul className="stack" style={{ marginTop: 8, overflow: "auto" }}>
        {steps.map((span) => (
          <li key={span.path}>
            <button type="button" className="button" style={{ width: "100%", justifyContent: "flex-start" }} onClick={() => void start(span.path)}>
              <span className="mono">{span.path}</span><span className="muted">{span.kind}</span>
            </button>
          </li>
        ))}
      </ul>
      {steps.length === 0 && <p style={{ marginTop: 8 }}>No step has begun yet.</p>}
    </Dialog>
  );
}

/** The run over time, or as its workflow is drawn. */
function How({ run, events, view, graph, chosen, choose, show }: {
  run: RunDocument; events: EventDocument[]; view: RunView; graph: boolean; chosen: string | undefined; choose: (path: string) => void; show: (name: string | undefined) => void;
}) {
  const drawn = useQuery(workflowQuery(run.workflow)).data;
  // A run is drawn by what it ran, which the newest definition may no longer be.
  const same = drawn?.content_hash === run.definition_hash ? drawn : null;
  const states = useMemo(() => stepStates(events, view), [events, view]);
  const steps = useMemo(() => new Map(events.filter((event) => event.type === "step.started" && event.path).map((event) => [String(event.data.step), event.path!])), [events]);
  return (
    <section className="tile" aria-label={graph && same ? "Steps" : "Waterfall"}>
      <div className="head"><h2>Who did what</h2>
        {same && <div className="tabs right"><button type="button" aria-pressed={!graph} onClick={() => show(undefined)}>Time</button><button type="button" aria-pressed={graph} onClick={() => show("steps")}>Steps</button></div>}
      </div>
      {graph && same
        ? <FlowGraph steps={same.steps} states={states} chosen={[...steps].find(([, path]) => path === chosen)?.[0]} choose={(step) => steps.has(step.path) && choose(steps.get(step.path)!)} label={`Steps of ${run.workflow}`} />
        : <Waterfall run={run} view={view} chosen={chosen} choose={choose} />}
    </section>
  );
}

function Waterfall({ run, view, chosen, choose }: { run: RunDocument; view: RunView; chosen: string | undefined; choose: (path: string) => void }) {
  const now = useNow(!ENDED.has(run.status));
  const from = Date.parse(run.started_at ?? run.created_at);
  const to = Math.max(run.finished_at ? Date.parse(run.finished_at) : now, from + 1_000);
  const lanes = useMemo(() => {
    const found = new Map<string, Lane>();
    for (const span of view.spans) {
      const label = span.agent ?? "steps";
      const lane = found.get(label) ?? { label, spans: [] };
      lane.spans.push({ id: span.path, label: span.path, state: span.state, start: span.start, end: span.end ?? to });
      found.set(label, lane);
    }
    return [...found.values()].sort((one, other) => Number(other.label === "steps") - Number(one.label === "steps"));
  }, [view.spans, to]);
  if (!lanes.length) return <Empty busy={!ENDED.has(run.status)}>No step has begun yet.</Empty>;
  return <TimeTrack lanes={lanes} from={from} to={to} chosen={chosen} choose={choose} label="Steps over time, by agent" />;
}

function Summary({ run, view }: { run: RunDocument; view: RunView }) {
  const kept = useQuery(artifacts(run.id)).data?.items ?? [];
  const outputs = run.outputs && typeof run.outputs === "object" ? Object.entries(run.outputs) : run.outputs != null ? [["result", run.outputs]] : [];
  const error = run.error as { code?: string; message?: string; hint?: string } | null;
  return (
    <>
      {error && <div className="tile"><div className="notice bad"><b>{error.code}</b> {error.message} {error.hint}</div></div>}
      <section className="tile">
        <h2>Result</h2>
        {outputs.length === 0 && <p className="muted">{ENDED.has(run.status) ? "It returned nothing." : "Not there yet."}</p>}
        <dl className="facts">
          {outputs.map(([name, value]) => [<dt key={`t${name}`}>{String(name)}</dt>, <dd key={`d${name}`}>{typeof value === "string" ? value : <code>{oneLine(value, 2_000)}</code>}</dd>])}
        </dl>
      </section>
      <section className="tile">
        <h2>Run</h2>
        <dl className="facts">
          <dt>Inputs</dt><dd>{Object.keys(run.inputs).length ? Object.entries(run.inputs).map(([name, value]) => <div key={name}><span className="muted">{name}</span> {oneLine(value, 600)}</div>) : "none"}</dd>
          <dt>Cost</dt><dd>{usd(run.cost.usd)} for {run.cost.calls} model calls{run.cost.scripted && <> <span className="tag warn">scripted: no model was asked</span></>}{run.cost.unpriced_calls > 0 && <> <span className="tag warn">{run.cost.unpriced_calls} calls without a known price</span></>}</dd>
          {run.workspace && <><dt>Branch</dt><dd className="mono">{String(run.workspace.branch ?? "")}</dd></>}
          {view.commit && <><dt>Commit</dt><dd className="mono">{String(view.commit.sha).slice(0, 12)} +{String(view.commit.insertions ?? 0)} -{String(view.commit.deletions ?? 0)}</dd></>}
          {run.forked_from && <><dt>Rerun of</dt><dd><Link to="/runs/$runId" params={{ runId: run.forked_from }} search={{ step: undefined }} className="mono">{shortId(run.forked_from)}</Link></dd></>}
          {run.parent_run_id && <><dt>Part of</dt><dd><Link to="/runs/$runId" params={{ runId: run.parent_run_id }} search={{ step: undefined }} className="mono">{shortId(run.parent_run_id)}</Link></dd></>}
          <dt>Id</dt><dd className="mono">{run.id}</dd>
        </dl>
      </section>
      <section className="tile">
        <h2>Artifacts</h2>
        {kept.length === 0 && <p className="muted">{ENDED.has(run.status) ? "It kept nothing." : "Nothing was kept yet."}</p>}
        <ul className="stack">
          {kept.map((item) => (
            <li key={item.id} className="row">
              <a href={`/api/v1/artifacts/${item.id}/content`} download className="clip">{item.name}</a>
              <span className="muted small">{item.media_type}, {count(item.size_bytes)} bytes</span>
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}

function Asks({ run }: { run: RunDocument }) {
  const mine = (useQuery(asks).data?.items ?? []).filter((item) => item.run_id === run.id);
  if (!mine.length) return null;
  return (
    <section className="tile" aria-label="Needs you">
      <div className="head"><h2>Needs you <span className="count">{mine.length}</span></h2></div>
      {mine.map((item) => <AskTile key={item.id} ask={item} />)}
    </section>
  );
}

function useNow(moving: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!moving) return undefined;
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [moving]);
  return now;
}

function useElapsed(run: RunDocument): number {
  const now = useNow(!ENDED.has(run.status));
  return (run.finished_at ? Date.parse(run.finished_at) : now) - Date.parse(run.started_at ?? run.created_at);
}

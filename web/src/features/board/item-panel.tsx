import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { api, explain } from "../../api/client";
import type { GraphDocument, GraphItem } from "../../api/plans";
import { client, workflow as workflowQuery, workflows } from "../../api/queries";
import type { ApprovalDocument, RunDocument } from "../../api/schema";
import { Spend } from "../../ui/chart";
import { bare, hours, shortId, usd } from "../../ui/format";
import { Log } from "../../ui/log";
import { Status } from "../../ui/status";
import { say } from "../../ui/toast";
import { AskTile } from "../inbox/ask-tile";
import { EffectFigures } from "../inbox/effect-figures";
import { lineOf } from "../runs/lines";
import { useRunEvents } from "../runs/use-run-events";
import type { Operation } from "./changes";

/** One item: what it is, what it waits for, what it costs; and everything that dragging does, by keyboard. */
export function ItemPanel({ graph, item, ask, consider, zoom, close }: {
  graph: GraphDocument; item: GraphItem; ask: ApprovalDocument | undefined; consider: (operations: Operation[]) => void; zoom: () => void; close: () => void;
}) {
  const byId = useMemo(() => new Map(graph.items.map((other) => [other.id, other])), [graph.items]);
  const parentKind = item.parent ? byId.get(item.parent)?.kind : undefined;
  const parents = graph.items.filter((other) => other.kind === parentKind && other.id !== item.parent);
  const others = graph.items.filter((other) => other.id !== item.id && other.kind === item.kind && !item.depends_on.includes(other.id));
  const children = graph.items.some((other) => other.parent === item.id);
  const run = item.run_ids.at(-1);
  return (
    <>
      <section className="tile item" aria-label="Item">
        <div className="head">
          <h2 className="clip">{item.title}</h2>
          <button type="button" className="button right" onClick={zoom}>Zoom <kbd>Z</kbd></button>
          <button type="button" className="button" aria-label="Close" onClick={close}>✕</button>
        </div>
        <dl className="facts">
          <dt>Status</dt><dd><Status status={item.status} />{item.reason && <p>{item.reason}</p>}</dd>
          <dt>{item.kind}</dt><dd className="mono">{item.key}</dd>
          <dt>Who</dt><dd>{item.assignee ? bare(item.assignee) : "unassigned"}</dd>
          <dt>Spent</dt><dd className="num">{usd(item.actual_usd)} of {usd(item.estimate_usd)}<Spend spent={item.actual_usd} of={item.estimate_usd} /></dd>
          <dt>Effort</dt><dd>{hours(item.estimate_hours)}{item.critical && <> <span className="tag warn">on the critical path</span></>}</dd>
          <dt>Waits for</dt>
          <dd>{item.depends_on.length === 0 ? "nothing" : item.depends_on.map((id) => (
            <div key={id} className="row"><span className="clip"><span className="mono">{byId.get(id)?.key ?? shortId(id)}</span> {byId.get(id)?.title}</span>
              <button type="button" className="button tiny right" aria-label={`No longer wait for ${byId.get(id)?.title ?? id}`} onClick={() => consider([{ op: "unlink", item: item.id, depends_on: id }])}>✕</button></div>
          ))}</dd>
          {item.run_ids.length > 0 && <><dt>Runs</dt><dd>{item.run_ids.map((id) => <div key={id}><Link className="mono" to="/runs/$runId" params={{ runId: id }} search={{ step: undefined }}>{shortId(id)}</Link></div>)}</dd></>}
        </dl>
        <div className="stack" style={{ marginTop: 12 }}>
          <Choose label="Move to…" options={parents} pick={(parent) => consider([{ op: "move", item: item.id, parent }])} />
          <Choose label="Wait for…" options={others} pick={(other) => consider([{ op: "link", item: item.id, depends_on: other }])} />
          {!children && <StartRun graph={graph} item={item} />}
        </div>
      </section>
      {ask && <section className="tile"><h2>Needs you</h2><AskTile ask={ask} /><EffectFigures ask={ask} graph={graph} /></section>}
      {run ? <RunLog run={run} title={item.key} /> : <section className="tile output"><h2>{item.key}</h2><p className="muted">Nothing has worked on it yet.</p></section>}
    </>
  );
}

function Choose({ label, options, pick }: { label: string; options: GraphItem[]; pick: (id: string) => void }) {
  if (!options.length) return null;
  return (
    <select className="field" aria-label={label} value="" onChange={(event) => event.target.value && pick(event.target.value)}>
      <option value="">{label}</option>
      {options.map((item) => <option key={item.id} value={item.id}>{item.key} {item.title}</option>)}
    </select>
  );
}

function StartRun({ graph, item }: { graph: GraphDocument; item: GraphItem }) {
  const go = useNavigate();
  const known = useQuery(workflows).data?.items ?? [];
  const [busy, setBusy] = useState(false);
  if (!known.length || item.status === "done") return null;
  const start = async (workflow: string) => {
    setBusy(true);
    try {
      const shown = known.some((one) => one.name === workflow && one.works_on_folder) ? await client.fetchQuery(workflowQuery(workflow)) : null;
      const options = shown?.workspace_source ? { workspace_source: shown.workspace_source } : {};
      const made = await api<{ run: RunDocument }>(`/plans/${graph.plan}/items/${item.id}/run`, { method: "POST", body: { workflow, options } });
      void client.invalidateQueries({ queryKey: ["plans"] });
      void go({ to: "/runs/$runId", params: { runId: made.run.id }, search: { step: undefined } });
    } catch (error) {
      say(explain(error));
    }
    setBusy(false);
  };
  return (
    <select className="field" aria-label="Start a run" value="" disabled={busy} onChange={(event) => event.target.value && void start(event.target.value)}>
      <option value="">Start a run…</option>
      {known.map(({ name }) => <option key={name} value={name}>{name}</option>)}
    </select>
  );
}

function RunLog({ run, title }: { run: string; title: string }) {
  const { events } = useRunEvents(run);
  const lines = useMemo(() => events.map(lineOf).filter((line) => line !== null), [events]);
  return (
    <section className="tile output" aria-label="Output">
      <div className="head"><h2>{title}</h2><Link className="right" to="/runs/$runId" params={{ runId: run }} search={{ step: undefined }}>Open the run</Link></div>
      <Log lines={lines} label="Output of the run" wrap />
    </section>
  );
}

import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import { workflow as workflowQuery, workflows } from "../../api/queries";
import type { OutlineStep, WorkflowOutline, WorkflowRow } from "../../api/schema";
import { Figure, Top } from "../../app/top";
import { Empty, Loading, Trouble } from "../../ui/empty";
import { span, usd } from "../../ui/format";
import { RunRows } from "../runs/rows";
import { FlowGraph } from "./graph";
import { StartForm } from "./start-form";
import { usual } from "./usual";

const route = getRouteApi("/workflows/$name");

/** Which workflows can be started by their name. */
export function Workflows() {
  const list = useQuery(workflows);
  return (
    <>
      <Top title="Workflows" name="Workflows" />
      <div className="page" tabIndex={0} role="group" aria-label="Workflows">
        {list.isPending ? <div className="tile"><Loading /></div> : list.isError ? <div className="tile"><Trouble error={list.error} retry={() => void list.refetch()} /></div> : list.data.items.length === 0 ? (
          <div className="tile"><Empty>No workflow ran here yet. <code>mosaic run FOLDER</code> brings one.</Empty></div>
        ) : <div className="grid-2">{list.data.items.map((item) => <WorkflowTile key={item.name} item={item} />)}</div>}
      </div>
    </>
  );
}

function WorkflowTile({ item }: { item: WorkflowRow }) {
  return (
    <Link to="/workflows/$name" params={{ name: item.name }} className="tile plan-tile">
      <div className="head"><h2 className="clip">{item.name}</h2>{item.example && <span className="tag">example</span>}<span className="muted right">{item.version}</span></div>
      <p className="muted">{item.description || "It says nothing about itself."}</p>
      <p className="row wrap small" style={{ marginTop: "auto" }}>
        <span>{item.step_count} {item.step_count === 1 ? "step" : "steps"}</span>
        {item.agent_names.slice(0, 5).map((name) => <span key={name} className="tag">{name}</span>)}
      </p>
    </Link>
  );
}

/** One workflow: its steps drawn, what it takes, what it usually costs, and the form that starts it. */
export function WorkflowScreen() {
  const { name } = route.useParams();
  const shown = useQuery(workflowQuery(name));
  if (shown.isPending) return <><Top title={name} name={name} /><div className="tile page"><Loading what="Drawing the workflow" /></div></>;
  if (shown.isError) return <><Top title={name} name={name} /><div className="tile page"><Trouble error={shown.error} retry={() => void shown.refetch()} /></div></>;
  return <Shown workflow={shown.data} />;
}

function Shown({ workflow }: { workflow: WorkflowOutline }) {
  const [chosen, setChosen] = useState<OutlineStep | null>(null);
  const often = usual(workflow.runs);
  return (
    <>
      <Top name={workflow.name} title={<span className="row"><Link to="/workflows" className="crumb">Workflows</Link><span className="clip">{workflow.name}</span></span>}>
        <Figure label="Usually costs">{often ? usd(often.usd) : "–"}</Figure>
        <Figure label="Usually takes" wide>{often ? span(often.ms) : "–"}</Figure>
        <Figure label="Succeeded" wide>{often ? `${often.succeeded} of ${often.ended}` : "–"}</Figure>
      </Top>
      <div className="page columns">
        <div className="stack">
          <section className="tile" aria-label="Steps">
            <div className="head"><h2>Steps</h2><span className="muted right">{workflow.version}</span></div>
            {workflow.description && <p className="muted" style={{ marginBottom: 12 }}>{workflow.description}</p>}
            <FlowGraph steps={workflow.steps} chosen={chosen?.path} choose={(step) => setChosen(step.path === chosen?.path ? null : step)} label={`Steps of ${workflow.name}`} />
          </section>
          {chosen && <StepFacts step={chosen} workflow={workflow} />}
          <section className="tile" aria-label="Runs">
            <h2>Latest runs</h2>
            {workflow.runs.length ? <RunRows items={workflow.runs.slice(0, 8)} /> : <p className="muted">It has not run here yet.</p>}
          </section>
        </div>
        <div className="stack">
          <section className="tile" aria-label="Start a run">
            <h2>Start a run</h2>
            <StartForm key={workflow.content_hash} workflow={workflow} />
          </section>
          <Agents workflow={workflow} />
        </div>
      </div>
    </>
  );
}

function StepFacts({ step, workflow }: { step: OutlineStep; workflow: WorkflowOutline }) {
  const agents = workflow.agents.filter((agent) => step.agents.includes(agent.name));
  return (
    <section className="tile" aria-label="Step">
      <div className="head"><h2 className="mono clip">{step.path}</h2><span className="tag">{step.kind}</span></div>
      {step.description && <p>{step.description}</p>}
      <dl className="facts">
        {step.detail && <><dt>What</dt><dd className="mono">{step.detail}</dd></>}
        {step.condition && <><dt>Only if</dt><dd className="mono">{step.condition}</dd></>}
        {step.needs.length > 0 && <><dt>Needs</dt><dd>{step.needs.join(", ")}</dd></>}
        {step.goto && <><dt>When it fails</dt><dd>goes back to {step.goto}</dd></>}
        {agents.map((agent) => [<dt key={`t${agent.name}`}>{agent.name}</dt>, <dd key={`d${agent.name}`}>{agent.description} <span className="muted">{agent.tools.length ? `may use ${agent.tools.join(", ")}` : "uses no tools"}</span></dd>])}
      </dl>
    </section>
  );
}

function Agents({ workflow }: { workflow: WorkflowOutline }) {
  const bounds = Object.entries(workflow.policies);
  return (
    <section className="tile" aria-label="Who works">
      <h2>Who works</h2>
      {workflow.agents.length === 0 && <p className="muted">No agent: it calls tools and commands only.</p>}
      <ul className="stack-8">
        {workflow.agents.map((agent) => (
          <li key={agent.name}><span className="strong">{agent.name}</span> <span className="muted">{agent.description}</span>
            <p className="mono small clip muted">{agent.model.join(", else ") || "the installation's model"}</p></li>
        ))}
      </ul>
      {bounds.length > 0 && <p className="row wrap" style={{ marginTop: 8 }}>{bounds.map(([what, rule]) => <span key={what} className={rule === "ask" ? "tag warn" : rule === "deny" ? "tag bad" : "tag"}>{what}: {rule}</span>)}</p>}
    </section>
  );
}

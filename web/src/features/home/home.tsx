import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { useRecent } from "../../api/live";
import type { PlanDocument } from "../../api/plans";
import { asks, budgets, examples, forecast, plans, runs, usage, workflows } from "../../api/queries";
import type { RunDocument } from "../../api/schema";
import { Figure, Top } from "../../app/top";
import { BudgetLine, BurnUp, pace, Sparkline } from "../../ui/chart";
import { Empty, Loading, Trouble } from "../../ui/empty";
import { count, hours, usd } from "../../ui/format";
import { Log } from "../../ui/log";
import { Shape, type State, stateOf } from "../../ui/status";
import { byDay, monthStart } from "../cost/days";
import { AskTile } from "../inbox/ask-tile";
import { startExample } from "../runs/actions";
import { type Line, lineOf } from "../runs/lines";
import { RunRows } from "../runs/rows";

/** Where everything stands: projects, plans, money, what waits for a person, what agents say now. */
export function Home() {
  const runList = useQuery(runs);
  const planList = useQuery(plans);
  const runItems = runList.data?.items ?? [];
  const planItems = planList.data?.items ?? [];
  const empty = runList.isSuccess && runItems.length === 0 && planItems.length === 0;
  return (
    <>
      <Top title="Home" name="Home"><Burn /></Top>
      <div className="page home">
        {runList.isPending ? <div className="tile"><Loading /></div> : runList.isError ? <div className="tile"><Trouble error={runList.error} retry={() => void runList.refetch()} /></div> : empty ? (
          <div className="tile"><Empty action={<StartExample />}>Nothing has run here yet. An example shows what a team of agents does; it needs no key and costs nothing.</Empty></div>
        ) : (
          <div className="stack">
            <Projects runs={runItems} plans={planItems} />
            <section className="tile" aria-label="Runs">
              <div className="head"><h2>Runs</h2><span className="right row"><StartExample quiet /><Link to="/runs" className="button">All runs</Link></span></div>
              <RunRows items={runItems.slice(0, 8)} />
            </section>
            <div className="grid-2">
              <Money />
              <Startable />
            </div>
          </div>
        )}
        <div className="stack side">
          <NeedsYou />
          <AllAgents />
        </div>
      </div>
    </>
  );
}

function Burn() {
  const since = useMemo(monthStart, []);
  const days = useQuery(usage(["day"], since)).data;
  const end = useQuery(forecast).data;
  const limits = useQuery(budgets).data?.items;
  const budget = limits?.find((item) => item.scope === "tenant" && item.period === "month")?.limit_usd;
  const spent = Number(days?.total.usd ?? 0);
  return (
    <>
      <Figure label="This month">{usd(spent)}</Figure>
      <Figure label="Forecast" wide>{usd(end?.expected_usd)}</Figure>
      <Figure label="Budget" wide>{budget != null ? usd(budget) : <Link to="/cost" search={{ by: undefined }}>none</Link>}</Figure>
      {days && <Sparkline values={byDay(days.items, since).map((day) => day.value)} label={`Spent by day this month, ${usd(spent)} in all`} />}
    </>
  );
}

function StartExample({ quiet = false }: { quiet?: boolean }) {
  const go = useNavigate();
  const known = useQuery(examples).data?.items ?? [];
  const start = async (name: string) => {
    const run = await startExample(name);
    if (run) void go({ to: "/runs/$runId", params: { runId: run.id }, search: { step: undefined } });
  };
  const main = known.find((item) => item.name === "fix-failing-test") ?? known[0];
  if (!main) return null;
  return <button type="button" className={quiet ? "button" : "button act"} title={main.description} onClick={() => void start(main.name)}>Start the example</button>;
}

const ORDER: State[] = ["needs", "failed", "running", "queued", "todo", "stopped", "done"];

function Projects({ runs: list, plans: planList }: { runs: RunDocument[]; plans: PlanDocument[] }) {
  const projects = [...new Set([...list.map((run) => run.project), ...planList.map((plan) => plan.project)])];
  return (
    <div className="grid-2">
      {projects.map((project) => {
        const mine = list.filter((run) => run.project === project);
        return (
          <section key={project} className="tile" aria-label={`Project ${project}`}>
            <div className="head"><h2>{project}</h2><span className="muted right num">{usd(mine.reduce((sum, run) => sum + run.cost.usd, 0))}</span></div>
            <div className="mosaic">
              {mine.slice(0, 40).reverse().map((run) => (
                <Link key={run.id} to="/runs/$runId" params={{ runId: run.id }} search={{ step: undefined }} title={`${run.workflow}: ${run.status}`} aria-label={`${run.workflow}, ${run.status}`} className={`tessera ${stateOf(run.status)}`} />
              ))}
            </div>
            <p className="muted small">{summary(mine)}</p>
          </section>
        );
      })}
      {planList.map((plan) => <PlanTile key={plan.id} plan={plan} />)}
    </div>
  );
}

function summary(list: RunDocument[]): string {
  const counts = new Map<string, number>();
  for (const run of list) counts.set(run.status, (counts.get(run.status) ?? 0) + 1);
  return [...counts].map(([status, number]) => `${number} ${status}`).join(", ");
}

const MOST_TESSERAE = 96;

/** How the items of a plan stand, a tessera for each; for each several, where there are very many. */
function tesserae(statuses: Record<string, number>): { state: State; count: number }[] {
  const counts = new Map<State, number>();
  for (const [status, number] of Object.entries(statuses)) counts.set(stateOf(status), (counts.get(stateOf(status)) ?? 0) + number);
  return [...counts].filter(([, number]) => number > 0).sort(([one], [other]) => DONE_FIRST.indexOf(one) - DONE_FIRST.indexOf(other)).map(([state, number]) => ({ state, count: number }));
}

const DONE_FIRST: State[] = ["done", "failed", "needs", "running", "queued", "stopped", "todo"];

function PlanTile({ plan }: { plan: PlanDocument }) {
  const states = tesserae(plan.statuses);
  const all = states.reduce((sum, one) => sum + one.count, 0);
  const each = Math.max(1, Math.ceil(all / MOST_TESSERAE));
  const told = [...states].sort((one, other) => ORDER.indexOf(one.state) - ORDER.indexOf(other.state));
  return (
    <Link to="/plans/$planId" params={{ planId: plan.id }} search={{ item: undefined, lens: undefined, at: undefined }} className="tile plan-tile">
      <div className="head"><h2 className="clip">{plan.name}</h2><span className="muted right num">{Math.round(plan.progress * 100)} %</span></div>
      <div className="mosaic small-tiles" aria-hidden="true">
        {states.flatMap(({ state, count: number }) => Array.from({ length: Math.ceil(number / each) }, (_, index) => <i key={`${state}${index}`} className={`tessera ${state}`} />))}
      </div>
      <div className="row wrap small">{told.map(({ state, count: number }) => <span key={state} className="row" style={{ gap: 4 }}><Shape state={state} size={10} />{number} {WORD[state]}</span>)}</div>
      <div className="row small num"><span>{usd(plan.actual.usd)} of {usd(plan.estimate.usd)}</span><span className="tag">{pace(plan.actual.usd, plan.estimate.usd, plan.progress)}</span><span className="muted right">{plan.finish_hours > 0 ? `${hours(plan.finish_hours)} to go` : "done"}</span></div>
      <BudgetLine spent={plan.actual.usd} of={plan.estimate.usd} progress={plan.progress} />
    </Link>
  );
}

const WORD: Record<State, string> = { done: "done", failed: "failed", needs: "need you", running: "running", queued: "queued", stopped: "stopped", todo: "to do" };

/** This month's money as a line that rises to the budget's. */
function Money() {
  const since = useMemo(monthStart, []);
  const days = useQuery(usage(["day"], since)).data;
  const end = useQuery(forecast).data;
  const budget = useQuery(budgets).data?.items.find((item) => item.scope === "tenant" && item.period === "month")?.limit_usd ?? null;
  const start = new Date(since);
  const length = new Date(Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1, 0)).getUTCDate();
  const spent = Number(days?.total.usd ?? 0);
  const tokens = Number(days?.total.input_tokens ?? 0) + Number(days?.total.output_tokens ?? 0);
  return (
    <section className="tile" aria-label="Money">
      <div className="head"><h2>Money this month</h2><Link to="/cost" search={{ by: undefined }} className="right">On what</Link></div>
      {days && spent > 0 ? <BurnUp days={byDay(days.items, since).map((day) => day.value)} length={length} budget={budget} expected={end && end.days_seen > 0 ? end.expected_usd : null} format={usd} />
        : <p className="muted">{tokens > 0 ? `Nothing was paid; ${count(tokens)} tokens came from scripted or local models.` : "Nothing was spent."}</p>}
      {budget != null && <p className="small num" style={{ marginTop: 8 }}>{usd(spent)} of {usd(budget)}{end && end.days_seen > 0 && `, ${usd(end.expected_usd)} expected by the end`}</p>}
    </section>
  );
}

/** Workflows, each a click away from its form. */
function Startable() {
  const list = useQuery(workflows).data?.items ?? [];
  return (
    <section className="tile" aria-label="Workflows">
      <div className="head"><h2>Workflows</h2><Link to="/workflows" className="right">All</Link></div>
      {list.length === 0 && <p className="muted">None ran here yet.</p>}
      <ul>{list.slice(0, 6).map((item) => <li key={item.name} className="row" style={{ padding: "3px 0" }}><Link to="/workflows/$name" params={{ name: item.name }} className="strong" style={{ flex: "none" }}>{item.name}</Link><span className="muted clip">{item.description}</span></li>)}</ul>
    </section>
  );
}

function NeedsYou() {
  const list = useQuery(asks);
  const items = list.data?.items ?? [];
  return (
    <section className="tile" aria-label="Needs you">
      <div className="head"><h2>Needs you <span className="count">{items.length}</span></h2></div>
      {list.isError && <Trouble error={list.error} />}
      {list.isSuccess && items.length === 0 && <p className="muted">Nothing waits for you.</p>}
      {items.slice(0, 6).map((item) => <AskTile key={item.id} ask={item} />)}
      {items.length > 6 && <Link to="/inbox" search={{ ask: undefined, show: undefined }}>{items.length - 6} more</Link>}
    </section>
  );
}

function AllAgents() {
  const recent = useRecent();
  const go = useNavigate();
  const lines = useMemo(() => recent.map(lineOf).filter((line) => line !== null && line.tone !== "quiet") as Line[], [recent]);
  return (
    <section className="tile output" aria-label="All agents">
      <div className="head"><h2>All agents</h2></div>
      {lines.length ? <Log lines={lines} label="What agents say" choose={(line) => line.run && void go({ to: "/runs/$runId", params: { runId: line.run }, search: { step: line.path || undefined } })} /> : <p className="muted">Nothing was said of late.</p>}
    </section>
  );
}

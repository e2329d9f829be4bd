import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { useRecent } from "../../api/live";
import type { PlanDocument } from "../../api/plans";
import { asks, budgets, examples, forecast, plans, runs, usage } from "../../api/queries";
import type { RunDocument } from "../../api/schema";
import { Figure, Top } from "../../app/top";
import { Sparkline, Spend } from "../../ui/chart";
import { Empty, Loading, Trouble } from "../../ui/empty";
import { hours, usd } from "../../ui/format";
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
              <RunRows items={runItems.slice(0, 12)} />
            </section>
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

function PlanTile({ plan }: { plan: PlanDocument }) {
  const states = Object.entries(plan.statuses).sort(([one], [other]) => ORDER.indexOf(stateOf(one)) - ORDER.indexOf(stateOf(other)));
  return (
    <Link to="/plans/$planId" params={{ planId: plan.id }} search={{ item: undefined, lens: undefined, at: undefined }} className="tile plan-tile">
      <div className="head"><h2 className="clip">{plan.name}</h2><span className="muted right num">{Math.round(plan.progress * 100)} %</span></div>
      <div className="row wrap small">{states.filter(([, number]) => number > 0).map(([status, number]) => <span key={status} className="row" style={{ gap: 4 }}><Shape state={stateOf(status)} size={10} />{number}</span>)}</div>
      <div className="row small num"><span>{usd(plan.actual.usd)} of {usd(plan.estimate.usd)}</span><span className="muted right">{plan.finish_hours > 0 ? `${hours(plan.finish_hours)} to go` : "done"}</span></div>
      <Spend spent={plan.actual.usd} of={plan.estimate.usd} />
    </Link>
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
      {lines.length ? <Log lines={lines} label="What agents say" choose={(line) => line.run && void go({ to: "/runs/$runId", params: { runId: line.run }, search: { step: line.path || undefined } })} /> : <p className="muted">They have said nothing since you opened this.</p>}
    </section>
  );
}

import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useMemo } from "react";
import type { PlanDocument } from "../../api/plans";
import { agents, asks, budgets, forecast, plans, runs, system, usage } from "../../api/queries";
import { Top } from "../../app/top";
import { BudgetLine, BurnUp, pace } from "../../ui/chart";
import { count, hours, usd } from "../../ui/format";
import { Shape, stateOf, wordOf } from "../../ui/status";
import { byDay, monthStart } from "./days";

/** One page to print: what was done, what it cost, what is left, what waits. */
export function Report() {
  const since = useMemo(monthStart, []);
  const days = useQuery(usage(["day"], since)).data;
  const people = useQuery(usage(["agent"], since)).data?.items ?? [];
  const models = useQuery(usage(["model"], since)).data?.items ?? [];
  const runItems = (useQuery(runs).data?.items ?? []).filter((run) => run.created_at >= since);
  const planItems = useQuery(plans).data?.items ?? [];
  const waiting = useQuery(asks).data?.items ?? [];
  const end = useQuery(forecast).data;
  const budget = useQuery(budgets).data?.items.find((item) => item.scope === "tenant" && item.period === "month")?.limit_usd ?? null;
  const team = useQuery(agents).data?.metrics;
  const place = useQuery(system).data;
  const start = new Date(since);
  const length = new Date(Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1, 0)).getUTCDate();
  const spent = Number(days?.total.usd ?? 0);
  const tokens = Number(days?.total.input_tokens ?? 0) + Number(days?.total.output_tokens ?? 0);
  const ended = runItems.filter((run) => ["succeeded", "failed"].includes(run.status));
  const good = ended.filter((run) => run.status === "succeeded").length;
  return (
    <>
      <Top title="Report" name="Report"><button type="button" className="button act" onClick={() => window.print()}>Print</button></Top>
      <article className="tile page report" tabIndex={0}>
        <header className="row"><h2>{start.toLocaleDateString("en-GB", { month: "long", year: "numeric", timeZone: "UTC" })}</h2><span className="muted right">made {new Date().toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })}</span></header>
        <dl className="report-figures">
          <Fact label="Spent" note={budget != null ? `of a budget of ${usd(budget)}` : "no budget is set"}>{usd(spent)}</Fact>
          <Fact label="Expected by the end" note={end && end.days_seen > 0 ? `${usd(end.low_usd)} to ${usd(end.high_usd)}` : "not enough days yet"}>{end && end.days_seen > 0 ? usd(end.expected_usd) : "–"}</Fact>
          <Fact label="Runs of late" note={ended.length ? `${Math.round((good / ended.length) * 100)} % of ${ended.length} that ended succeeded` : "none has ended"}>{runItems.length}</Fact>
          <Fact label="Model calls" note={`${count(tokens)} tokens`}>{count(Number(days?.total.calls ?? 0))}</Fact>
          <Fact label="Agents" note={team ? `${team.busy} at work` : ""}>{team?.total ?? "–"}</Fact>
          <Fact label="Need a person" note={waiting.length ? "open asks" : "nothing waits"}>{waiting.length}</Fact>
        </dl>
        {days && spent > 0 && <BurnUp days={byDay(days.items, since).map((day) => day.value)} length={length} budget={budget} expected={end && end.days_seen > 0 ? end.expected_usd : null} format={usd} />}
        <h2>Plans</h2>
        {planItems.length === 0 ? <p className="muted">None.</p> : planItems.map((plan) => <PlanLine key={plan.id} plan={plan} />)}
        <div className="report-halves">
          <section><h2>By agent</h2><Table name="agent" items={people} /></section>
          <section><h2>By model</h2><Table name="model" items={models} /></section>
        </div>
        {waiting.length > 0 && <><h2>Waits for a person</h2><ul>{waiting.slice(0, 8).map((ask) => <li key={ask.id}>{ask.title} <span className="muted">{new Date(ask.requested_at).toLocaleString("en-GB", { dateStyle: "short", timeStyle: "short" })}</span></li>)}</ul></>}
        <footer className="muted small">{place && `${place.nodes.length} ${place.nodes.length === 1 ? "node" : "nodes"}, ${place.database.dialect}. `}Figures are those of the ledger; days are UTC.</footer>
      </article>
    </>
  );
}

function Fact({ label, note, children }: { label: string; note: string; children: ReactNode }) {
  return <div><dt className="muted small">{label}</dt><dd><b>{children}</b><span className="muted small">{note}</span></dd></div>;
}

function PlanLine({ plan }: { plan: PlanDocument }) {
  return (
    <div className="report-plan">
      <div className="row wrap"><span className="strong">{plan.name}</span><span className="num">{Math.round(plan.progress * 100)} % done</span>
        <span className="num right">{usd(plan.actual.usd)} of {usd(plan.estimate.usd)}, {pace(plan.actual.usd, plan.estimate.usd, plan.progress)}</span></div>
      <BudgetLine spent={plan.actual.usd} of={plan.estimate.usd} progress={plan.progress} />
      <div className="row wrap small">{Object.entries(plan.statuses).filter(([, number]) => number > 0).map(([status, number]) => <span key={status} className="row" style={{ gap: 4 }}><Shape state={stateOf(status)} size={10} />{number} {wordOf(status)}</span>)}
        <span className="muted right">{plan.finish_hours > 0 ? `${hours(plan.finish_hours)} of work to go` : "done"}</span></div>
    </div>
  );
}

function Table({ name, items }: { name: string; items: Record<string, unknown>[] }) {
  if (!items.length) return <p className="muted">None.</p>;
  return (
    <table className="table small"><thead><tr><th>{name}</th><th className="r">Calls</th><th className="r">Tokens</th><th className="r">Spent</th></tr></thead>
      <tbody>{items.map((item) => <tr key={String(item[name])}><td>{String(item[name] ?? "(none)")}</td><td className="r">{count(Number(item.calls))}</td><td className="r">{count(Number(item.input_tokens) + Number(item.output_tokens))}</td><td className="r">{usd(Number(item.usd))}</td></tr>)}</tbody></table>
  );
}

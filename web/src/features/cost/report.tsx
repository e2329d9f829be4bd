import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { agents, asks, forecast, plans, runs, usage } from "../../api/queries";
import { Top } from "../../app/top";
import { count, hours, usd } from "../../ui/format";
import { byDay, monthStart } from "./days";
import { Bars } from "../../ui/chart";

/** One page to print: what was done, what it cost, what is left. */
export function Report() {
  const since = useMemo(monthStart, []);
  const days = useQuery(usage(["day"], since)).data;
  const people = useQuery(usage(["agent"], since)).data?.items ?? [];
  const models = useQuery(usage(["model"], since)).data?.items ?? [];
  const runItems = (useQuery(runs).data?.items ?? []).filter((run) => run.created_at >= since);
  const planItems = useQuery(plans).data?.items ?? [];
  const waiting = useQuery(asks).data?.items.length ?? 0;
  const end = useQuery(forecast).data;
  const team = useQuery(agents).data?.metrics;
  const by = (status: string) => runItems.filter((run) => run.status === status).length;
  return (
    <>
      <Top title="Report" name="Report"><button type="button" className="button act" onClick={() => window.print()}>Print</button></Top>
      <article className="tile page report" tabIndex={0}>
        <h2>{new Date(since).toLocaleDateString("en-GB", { month: "long", year: "numeric", timeZone: "UTC" })}</h2>
        <p>{runItems.length} runs of late: {by("succeeded")} succeeded, {by("failed")} failed, {by("cancelled")} cancelled, {by("running") + by("queued")} under way, {by("waiting")} waiting for a person ({waiting} open asks). {team && <>{team.total} agents have worked here.</>}</p>
        <p>{usd(Number(days?.total.usd ?? 0))} spent on {count(Number(days?.total.calls ?? 0))} model calls and {count(Number(days?.total.input_tokens ?? 0) + Number(days?.total.output_tokens ?? 0))} tokens. {end && <>The month will come to about {usd(end.expected_usd)}.</>}</p>
        {days && <Bars items={byDay(days.items, since)} format={usd} />}
        <h2>Plans</h2>
        {planItems.length === 0 ? <p className="muted">None.</p> : (
          <table className="table"><thead><tr><th>Plan</th><th className="r">Done</th><th className="r">Spent</th><th className="r">Estimate</th><th className="r">To go</th></tr></thead>
            <tbody>{planItems.map((plan) => <tr key={plan.id}><td>{plan.name}</td><td className="r">{Math.round(plan.progress * 100)} %</td><td className="r">{usd(plan.actual.usd)}</td><td className="r">{usd(plan.estimate.usd)}</td><td className="r">{hours(plan.finish_hours)}</td></tr>)}</tbody></table>
        )}
        <h2>By agent</h2>
        <Table name="agent" items={people} />
        <h2>By model</h2>
        <Table name="model" items={models} />
      </article>
    </>
  );
}

function Table({ name, items }: { name: string; items: Record<string, unknown>[] }) {
  if (!items.length) return <p className="muted">None.</p>;
  return (
    <table className="table"><thead><tr><th>{name}</th><th className="r">Calls</th><th className="r">Tokens</th><th className="r">Spent</th></tr></thead>
      <tbody>{items.map((item) => <tr key={String(item[name])}><td>{String(item[name] ?? "(none)")}</td><td className="r">{count(Number(item.calls))}</td><td className="r">{count(Number(item.input_tokens) + Number(item.output_tokens))}</td><td className="r">{usd(Number(item.usd))}</td></tr>)}</tbody></table>
  );
}

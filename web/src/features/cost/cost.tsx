import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { type FormEvent, useMemo, useState } from "react";
import { api, explain } from "../../api/client";
import { budgets, client, forecast, runs, usage } from "../../api/queries";
import type { BudgetDocument } from "../../api/schema";
import { Figure, Top } from "../../app/top";
import { Bars, Spend } from "../../ui/chart";
import { Empty, Loading, Trouble } from "../../ui/empty";
import { count, shortId, usd } from "../../ui/format";
import { say } from "../../ui/toast";
import { byDay, monthStart } from "./days";

const route = getRouteApi("/cost");
const WAYS = ["project", "agent", "model", "provider", "run", "source"];

/** What was spent, on what, against which budget, and what it will come to. */
export function Cost() {
  const by = route.useSearch().by ?? "agent";
  const since = useMemo(monthStart, []);
  const days = useQuery(usage(["day"], since));
  const split = useQuery(usage([by], since));
  const end = useQuery(forecast).data;
  const limits = useQuery(budgets).data?.items ?? [];
  const monthly = limits.find((item) => item.scope === "tenant" && item.period === "month")?.limit_usd ?? null;
  const month = new Date(since);
  const length = new Date(Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1, 0)).getUTCDate();
  const total = days.data?.total;
  return (
    <>
      <Top title="Cost" name="Cost">
        <Figure label="This month">{usd(Number(total?.usd ?? 0))}</Figure>
        <Figure label="Forecast" wide>{usd(end?.expected_usd)}</Figure>
        <Figure label="Budget" wide>{monthly != null ? usd(monthly) : "none"}</Figure>
        <Link to="/report" className="button">Report</Link>
      </Top>
      <div className="page columns">
        <div className="stack">
          <section className="tile" aria-label="By day">
            <h2>By day</h2>
            {days.isPending ? <Loading /> : days.isError ? <Trouble error={days.error} /> : <Days items={days.data.items} since={since} line={monthly != null ? monthly / length : null} />}
            {end && end.days_seen > 0 && <p className="muted" style={{ marginTop: 8 }}>By the end of the month between {usd(end.low_usd)} and {usd(end.high_usd)}, most likely {usd(end.expected_usd)}.</p>}
          </section>
          <section className="tile" aria-label="Split">
            <div className="head wrap"><h2>By</h2><div className="tabs">{WAYS.map((way) => <Link key={way} to="/cost" search={{ by: way }} data-here={way === by}>{way}</Link>)}</div></div>
            {split.isPending ? <Loading /> : split.isError ? <Trouble error={split.error} /> : split.data.items.length === 0 ? <Empty>No model was called this month.</Empty> : <Split by={by} items={split.data.items} />}
          </section>
        </div>
        <div className="stack"><Budgets items={limits} /></div>
      </div>
    </>
  );
}

/** Dollars by day; tokens where nothing cost anything, as with scripted and local models. */
function Days({ items, since, line }: { items: Record<string, unknown>[]; since: string; line: number | null }) {
  const paid = items.some((item) => Number(item.usd) > 0);
  if (paid || !items.length) return <Bars items={byDay(items, since)} line={line} format={usd} />;
  const tokens = items.map((item) => ({ day: item.day, usd: Number(item.input_tokens) + Number(item.output_tokens) }));
  return <><p className="muted">Nothing was paid; these are tokens.</p><Bars items={byDay(tokens, since)} format={count} /></>;
}

function Split({ by, items }: { by: string; items: Record<string, unknown>[] }) {
  const names = new Map((useQuery(runs).data?.items ?? []).map((run) => [run.id, run.workflow]));
  const top = Math.max(...items.map((item) => Number(item.usd)), 1e-9);
  return (
    <div className="scroll" tabIndex={0} role="group" aria-label="Split">
      <table className="table">
        <thead><tr><th>{by}</th><th className="r">Spent</th><th className="r">Calls</th><th className="r">Tokens</th><th className="r">From cache</th></tr></thead>
        <tbody>
          {items.map((item) => {
            const name = item[by] == null || item[by] === "" ? "(none)" : String(item[by]);
            return (
              <tr key={name}>
                <td style={{ minWidth: 120 }}>{by === "run" && names.size > 0 && name !== "(none)" ? <Link to="/runs/$runId" params={{ runId: name }} search={{ step: undefined }}>{names.get(name) ?? ""} <span className="mono">{shortId(name)}</span></Link> : name}<Spend spent={Number(item.usd)} of={top} /></td>
                <td className="r">{usd(Number(item.usd))}{Number(item.unpriced) > 0 && <span className="muted"> +{String(item.unpriced)} unpriced</span>}</td>
                <td className="r">{count(Number(item.calls))}</td>
                <td className="r">{count(Number(item.input_tokens) + Number(item.output_tokens))}</td>
                <td className="r">{count(Number(item.from_cache))}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Budgets({ items }: { items: BudgetDocument[] }) {
  return (
    <section className="tile" aria-label="Budgets">
      <h2>Budgets</h2>
      <ul className="stack-8">
        {items.map((item) => (
          <li key={item.id}>
            <div className="row"><span className="clip">{item.scope} {item.subject}</span><span className="muted">{item.period}</span><span className="right num">{usd(item.spent_usd + item.leased_usd)} of {usd(item.limit_usd)}</span></div>
            <Spend spent={item.spent_usd + item.leased_usd} of={item.limit_usd} />
          </li>
        ))}
      </ul>
      {items.length === 0 && <p className="muted">Nothing limits what is spent besides each run's own limit.</p>}
      <SetBudget />
    </section>
  );
}

function SetBudget() {
  const [amount, setAmount] = useState("");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    try {
      await api("/budgets", { method: "PUT", body: { scope: "tenant", period: "month", usd: Number(amount) } });
      setAmount("");
      say(`The month's budget is ${usd(Number(amount))}.`);
    } catch (error) {
      say(explain(error));
    }
    void client.invalidateQueries({ queryKey: ["cost"] });
  };
  return (
    <form className="row" style={{ marginTop: 12 }} onSubmit={(event) => void submit(event)}>
      <input className="field" type="number" min="0" step="0.01" required placeholder="Dollars a month" aria-label="Budget in dollars a month" value={amount} onChange={(event) => setAmount(event.target.value)} />
      <button type="submit" className="button">Set</button>
    </form>
  );
}

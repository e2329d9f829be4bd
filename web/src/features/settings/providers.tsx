import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { type FormEvent, useEffect, useState } from "react";
import { api, explain } from "../../api/client";
import { client, models, providers, routes } from "../../api/queries";
import type { ExplanationDocument, HealthDocument, ProviderRow, RouteDocument } from "../../api/schema";
import { Top } from "../../app/top";
import { Loading, Trouble } from "../../ui/empty";
import { span } from "../../ui/format";
import { Shape, type State } from "../../ui/status";
import { say } from "../../ui/toast";
import { short } from "./failover";
import { FailoverTile } from "./failover-tile";
import { SettingsTabs } from "./tabs";

const route = getRouteApi("/settings/providers");
const STATE: Record<string, State> = { ready: "done", unconfigured: "todo", unreachable: "failed", refused: "failed", broken: "failed" };

/** Whom requests go to: how each provider is, and why a request goes where it goes. */
export function Providers() {
  const list = useQuery(providers);
  const rules = useQuery(routes).data;
  const order = { ready: 0, broken: 1, refused: 2, unreachable: 3, unconfigured: 4 };
  const items = [...(list.data?.items ?? [])].sort((one, other) => order[one.status] - order[other.status]);
  return (
    <>
      <Top title="Providers" name="Providers"><SettingsTabs here="providers" /></Top>
      <div className="page columns">
        <div className="stack">
          {list.isPending ? <div className="tile"><Loading /></div> : list.isError ? <div className="tile"><Trouble error={list.error} retry={() => void list.refetch()} /></div> : (
            <div className="grid-2">{items.map((item) => <ProviderTile key={item.name} provider={item} />)}</div>
          )}
          <FailoverTile />
        </div>
        <div className="stack">
          <Why />
          <Order items={rules?.items ?? []} providers={items} />
          {rules && rules.rules.length > 0 && <section className="tile" aria-label="Rules"><h2>Rules</h2><ul className="stack-8">{rules.rules.map((rule) => <li key={rule.name}><span className="muted num">{rule.priority}</span> <span className="strong">{rule.name}</span> <span className="muted">{rule.reason || [rule.route && `to ${rule.route}`, rule.strategy].filter(Boolean).join(", ")}</span></li>)}</ul></section>}
        </div>
      </div>
    </>
  );
}

function ProviderTile({ provider }: { provider: ProviderRow }) {
  const [busy, setBusy] = useState(false);
  const check = async () => {
    setBusy(true);
    try {
      const found = await api<HealthDocument>(`/providers/${encodeURIComponent(provider.name)}/check`, { method: "POST" });
      say(`${provider.name} is ${found.status}${found.detail ? `: ${found.detail}` : ""}`);
    } catch (error) {
      say(explain(error));
    }
    setBusy(false);
    void client.invalidateQueries({ queryKey: ["providers"] });
  };
  return (
    <section className="tile" aria-label={`Provider ${provider.name}`}>
      <div className="head"><Shape state={STATE[provider.status] ?? "todo"} /><h2 className="clip">{provider.name}</h2><span className="muted">{provider.status}</span>
        <button type="button" className="button right" disabled={busy} onClick={() => void check()}>{busy ? "Checking…" : "Check"}</button></div>
      {provider.status !== "ready" && <p>{provider.detail} <span className="muted">{provider.hint !== provider.detail && provider.hint}</span></p>}
      <p className="row wrap" style={{ marginTop: 4 }}>{Object.entries(provider.parts).map(([name, value]) => <span key={name} className={value === "failing" ? "tag bad" : "tag"}>{name.replace("_", " ")} {value}</span>)}</p>
      {provider.targets.length > 0 && (
        <div className="scroll" tabIndex={0} role="group" aria-label="Figures of models"><table className="table small">
          <thead><tr><th>Model</th><th className="r">Latency</th><th className="r">Errors</th><th className="r">Breaker</th></tr></thead>
          <tbody>{provider.targets.map((item) => <tr key={item.id}><td className="mono clip" title={item.id}>{short(item.id)}</td><td className="r">{span(item.latency_s * 1000)}</td><td className="r">{Math.round(item.error_rate * 100)} %</td><td className="r">{item.breaker}</td></tr>)}</tbody>
        </table></div>
      )}
    </section>
  );
}

/** In which order each route asks whom, with how each stands now. */
function Order({ items, providers }: { items: RouteDocument[]; providers: ProviderRow[] }) {
  const stands = (target: string): State => STATE[providers.find((one) => target.startsWith(`${one.name}:`))?.status ?? ""] ?? "todo";
  const breaker = (target: string) => providers.flatMap((one) => one.targets).find((one) => one.id === target)?.breaker;
  return (
    <section className="tile" aria-label="Routing order">
      <h2>Routing order</h2>
      {items.length === 0 && <p className="muted">No route is configured: a request names its model.</p>}
      <ul className="stack-8">
        {items.map((item) => (
          <li key={item.name}>
            <div className="row"><Link to="/settings/providers" search={{ name: item.name }} className="strong">{item.name}</Link><span className="muted">{item.strategy}</span></div>
            <ol className="order">
              {item.targets.map((target) => <li key={target} className="row"><Shape state={stands(target)} size={10} /><span className="mono clip">{target}</span>{breaker(target) === "open" && <span className="tag bad">breaker open</span>}</li>)}
              {item.fallback.map((target) => <li key={`else ${target}`} className="row"><span className="muted">else</span><span className="mono clip">{target}</span></li>)}
            </ol>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Asks the router what it would do with a request, and shows its reasons. */
function Why() {
  const { name } = route.useSearch();
  const go = route.useNavigate();
  const [text, setText] = useState(name ?? "");
  useEffect(() => setText(name ?? ""), [name]);
  const known = useQuery(models).data?.items ?? [];
  const named = useQuery(routes).data?.items ?? [];
  const names = [...named.map((item) => item.name), ...known.map((item) => item.id)];
  const why = useQuery({
    queryKey: ["routes", "explain", name],
    queryFn: ({ signal }) => api<ExplanationDocument>("/routes/explain", { method: "POST", body: { name }, signal }),
    enabled: Boolean(name),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void go({ search: { name: text.trim() || undefined } });
  };
  const decision = why.data?.decision as { candidates?: Candidate[]; rejected?: Candidate[] } | null | undefined;
  return (
    <section className="tile" aria-label="Why this route">
      <h2>Why this route?</h2>
      <form className="row" onSubmit={submit}>
        <input className="field" list="models" aria-label="Route or model" placeholder="A route, or provider:model" value={text} onChange={(event) => setText(event.target.value)} />
        <datalist id="models">{names.map((item) => <option key={item} value={item} />)}</datalist>
        <button type="submit" className="button">Explain</button>
      </form>
      {why.isFetching && <p className="muted">Asking the router…</p>}
      {why.isError && <Trouble error={why.error} />}
      {why.data && (
        <div className="stack-8" style={{ marginTop: 12 }}>
          {why.data.error && <div className="notice bad">Nobody takes this request.</div>}
          <ol className="stack">{why.data.summary.map((line) => <li key={line}>{line}</li>)}</ol>
          {decision?.candidates && decision.candidates.length > 0 && <div><h3>In this order</h3><ol className="stack">{decision.candidates.map((item, index) => <li key={nameOf(item)}><div className="row"><span className="muted num">{index + 1}</span><span className="mono clip">{short(nameOf(item))}</span>{scoreOf(item) && <span className="muted num right">{scoreOf(item)}</span>}</div>{partsOf(item) && <p className="muted small num" style={{ paddingLeft: 16 }}>{partsOf(item)}</p>}</li>)}</ol></div>}
          {decision?.rejected && decision.rejected.length > 0 && <div><h3>Who may not take it</h3><ul className="stack">{decision.rejected.map((item) => <li key={nameOf(item)}><span className="mono">{short(nameOf(item))}</span> <span className="muted">{typeof item === "object" ? item.reason : ""}</span></li>)}</ul></div>}
          {why.data.rules.length > 0 && <div><h3>Rules that were looked at</h3><ul>{why.data.rules.map((rule) => <li key={rule.name}><span className="mono">{rule.name}</span> <span className="muted">{rule.came_to}</span></li>)}</ul></div>}
        </div>
      )}
    </section>
  );
}

type Candidate = string | { target?: string; id?: string; score?: number; parts?: Record<string, number>; reason?: string };
const scoreOf = (item: Candidate) => (typeof item === "object" && item.score ? item.score.toFixed(2) : "");
const partsOf = (item: Candidate) => (typeof item === "object" ? Object.entries(item.parts ?? {}).filter(([, value]) => Number.isFinite(value)).map(([name, value]) => `${name.replaceAll("_", " ")} ${Number(value).toFixed(2)}`).join(", ") : "");
const nameOf = (item: Candidate) => (typeof item === "string" ? item : (item.target ?? item.id ?? JSON.stringify(item)));

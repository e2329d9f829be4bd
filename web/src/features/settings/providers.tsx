import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { type FormEvent, useEffect, useState } from "react";
import { api, explain } from "../../api/client";
import { client, models, providers, routes } from "../../api/queries";
import type { ExplanationDocument, HealthDocument, ProviderRow } from "../../api/schema";
import { Top } from "../../app/top";
import { Loading, Trouble } from "../../ui/empty";
import { span } from "../../ui/format";
import { Shape, type State } from "../../ui/status";
import { say } from "../../ui/toast";
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
        </div>
        <div className="stack">
          <Why />
          <section className="tile" aria-label="Routes">
            <h2>Routes</h2>
            {rules?.items.length === 0 && <p className="muted">None is configured: a request names its model.</p>}
            <ul className="stack-8">{rules?.items.map((item) => <li key={item.name}><span className="strong">{item.name}</span> <span className="muted">{item.strategy}</span><p className="mono">{[...item.targets, ...item.fallback.map((target) => `else ${target}`)].join(", ")}</p></li>)}</ul>
          </section>
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
          <tbody>{provider.targets.map((item) => <tr key={item.id}><td className="mono">{item.id}</td><td className="r">{span(item.latency_s * 1000)}</td><td className="r">{Math.round(item.error_rate * 100)} %</td><td className="r">{item.breaker}</td></tr>)}</tbody>
        </table></div>
      )}
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
        <datalist id="models">{known.map((item) => <option key={item.id} value={item.id} />)}</datalist>
        <button type="submit" className="button">Explain</button>
      </form>
      {why.isFetching && <p className="muted">Asking the router…</p>}
      {why.isError && <Trouble error={why.error} />}
      {why.data && (
        <div className="stack-8" style={{ marginTop: 12 }}>
          {why.data.error && <div className="notice bad">Nobody takes this request.</div>}
          <ol className="stack">{why.data.summary.map((line) => <li key={line}>{line}</li>)}</ol>
          {decision?.candidates && decision.candidates.length > 0 && <div><h3>In this order</h3><ol className="stack">{decision.candidates.map((item, index) => <li key={nameOf(item)} className="row"><span className="muted num">{index + 1}</span><span className="mono clip">{nameOf(item)}</span></li>)}</ol></div>}
          {why.data.rules.length > 0 && <div><h3>Rules that were looked at</h3><ul>{why.data.rules.map((rule) => <li key={rule.name}><span className="mono">{rule.name}</span> <span className="muted">{rule.came_to}</span></li>)}</ul></div>}
        </div>
      )}
    </section>
  );
}

type Candidate = string | { target?: string; id?: string };
const nameOf = (item: Candidate) => (typeof item === "string" ? item : (item.target ?? item.id ?? JSON.stringify(item)));

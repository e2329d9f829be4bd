import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { useRecent } from "../../api/live";
import { agents, examples, usage } from "../../api/queries";
import type { AgentDocument } from "../../api/schema";
import { Figure, Top } from "../../app/top";
import { Empty, Loading, Trouble } from "../../ui/empty";
import { ago, count, usd } from "../../ui/format";
import { Status } from "../../ui/status";
import { monthStart } from "../cost/days";
import { lineOf } from "../runs/lines";

/** Who works here: how loaded each is, what it says, what it cost this month. */
export function Agents() {
  const list = useQuery(agents);
  const since = useMemo(monthStart, []);
  const spent = useQuery(usage(["agent"], since)).data?.items ?? [];
  const known = useQuery(examples).data?.items ?? [];
  const figures = list.data?.metrics;
  return (
    <>
      <Top title="Agents" name="Agents">
        {figures && <><Figure label="Agents">{figures.total}</Figure><Figure label="Busy">{figures.busy}</Figure><Figure label="Capacity" wide>{figures.total_capacity}</Figure><Figure label="Load" wide>{Math.round(figures.utilization)} %</Figure></>}
      </Top>
      <div className="page stack" tabIndex={0} role="group" aria-label="Agents">
        {list.isPending ? <div className="tile"><Loading /></div> : list.isError ? <div className="tile"><Trouble error={list.error} retry={() => void list.refetch()} /></div> : list.data.items.length === 0 ? (
          <div className="tile"><Empty action={<Link to="/" className="button act">Start the example</Link>}>Agents appear here when they first work.</Empty></div>
        ) : (
          <div className="grid-2">{list.data.items.map((agent) => <AgentTile key={agent.name} agent={agent} spent={spent.find((item) => item.agent === agent.name)} />)}</div>
        )}
        {known.length > 0 && (
          <section className="tile">
            <h2>Teams to start from</h2>
            <ul className="stack-8">{known.map((item) => <li key={item.name}><span className="strong">{item.name}</span> <span className="muted">{item.description}</span></li>)}</ul>
          </section>
        )}
      </div>
    </>
  );
}

function AgentTile({ agent, spent }: { agent: AgentDocument; spent: Record<string, unknown> | undefined }) {
  const recent = useRecent();
  const last = useMemo(() => recent.findLast((event) => event.data.agent === agent.name && lineOf(event)?.tone === "said"), [agent.name, recent]);
  return (
    <section className="tile" aria-label={`Agent ${agent.name}`}>
      <div className="head"><h2 className="clip">{agent.name}</h2><span className="right"><Status status={agent.availability} /></span></div>
      {agent.description && <p className="muted">{agent.description}</p>}
      <p className="mono clip" style={{ minHeight: 20 }}>{last ? String(last.data.text) : ""}</p>
      <div className="mosaic" role="img" aria-label={`${agent.active} of ${agent.capacity} at work`}>
        {Array.from({ length: Math.min(agent.capacity, 24) }, (_, index) => <i key={index} className={`tessera ${index < agent.active ? "running" : "todo"}`} />)}
      </div>
      <dl className="facts small">
        <dt>This month</dt><dd className="num">{usd(Number(spent?.usd ?? 0))}, {count(Number(spent?.calls ?? 0))} calls, {count(Number(spent?.input_tokens ?? 0) + Number(spent?.output_tokens ?? 0))} tokens</dd>
        <dt>Kind</dt><dd>{agent.kind}, pool {agent.pool}</dd>
        <dt>Seen</dt><dd>{ago(agent.heartbeat_at)}{agent.detail && `: ${agent.detail}`}</dd>
      </dl>
    </section>
  );
}

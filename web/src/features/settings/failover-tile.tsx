import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { api, query } from "../../api/client";
import type { AuditPage } from "../../api/schema";
import { Trouble } from "../../ui/empty";
import { ago, oneLine, shortId, span } from "../../ui/format";
import { Shape } from "../../ui/status";
import { failovers } from "./failover";

const LOOKED_AT = 200;

/** When a model did not answer, who took over, attempt by attempt. */
export function FailoverTile() {
  const events = useQuery({
    queryKey: ["providers", "failovers"],
    queryFn: ({ signal }) => api<AuditPage>(query("/audit", { types: ["model.called", "model.failed"], limit: LOOKED_AT }), { signal }),
    staleTime: 5_000,
  });
  const traces = useMemo(() => failovers([...(events.data?.items ?? [])].reverse()), [events.data]);
  return (
    <section className="tile" aria-label="Failover trace">
      <div className="head"><h2>Failover trace</h2><span className="muted right small">of the last {events.data?.items.length ?? 0} model calls</span></div>
      {events.isError && <Trouble error={events.error} retry={() => void events.refetch()} />}
      {events.isSuccess && traces.length === 0 && <p className="muted">Every model that was asked has answered.</p>}
      <ul className="traces">
        {traces.slice(0, 12).map((trace) => (
          <li key={trace.seq}>
            <div className="row small"><span className="strong">{trace.agent}</span>
              {trace.run && <Link className="mono" to="/runs/$runId" params={{ runId: trace.run }} search={{ step: trace.path || undefined }}>{trace.path || shortId(trace.run)}</Link>}
              <span className="muted right">{ago(trace.at)}</span></div>
            <ol>
              {trace.attempts.map((attempt, index) => (
                <li key={index} className="row"><Shape state={attempt.ok ? "done" : "failed"} size={10} /><span className="mono">{attempt.model}</span>
                  <span className={attempt.ok ? "muted" : "clip"} title={attempt.why}>{attempt.ok ? (index ? "took over" : "answered") : oneLine(attempt.why, 120)}</span>
                  {attempt.ms != null && <span className="muted num right">{span(attempt.ms)}</span>}</li>
              ))}
              {!trace.answered && <li className="muted">Nobody took over.</li>}
            </ol>
          </li>
        ))}
      </ul>
    </section>
  );
}

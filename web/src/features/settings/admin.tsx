import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import { api, query } from "../../api/client";
import { session, system } from "../../api/queries";
import type { AuditPage, EventDocument } from "../../api/schema";
import { Top } from "../../app/top";
import { Empty, Loading, Trouble } from "../../ui/empty";
import { oneLine, shortId } from "../../ui/format";
import { SettingsTabs } from "./tabs";

const route = getRouteApi("/settings/admin");
const KINDS = [
  { label: "Everything", types: undefined }, { label: "Approvals", types: "approval." }, { label: "Runs", types: "run." },
  { label: "Tools", types: "tool.,audit." }, { label: "Budgets and keys", types: "budget.,key.,price." }, { label: "Plans", types: "plan." },
];

/** The installation, and who did, allowed or was refused what in it. */
export function Admin() {
  const { types } = route.useSearch();
  const chosen = types?.split(",");
  const pages = useInfiniteQuery({
    queryKey: ["audit", types ?? ""],
    queryFn: ({ pageParam, signal }) => api<AuditPage>(query("/audit", { before: pageParam, limit: 100, types: chosen }), { signal }),
    initialPageParam: null as number | null,
    getNextPageParam: (page) => page.next_before,
    staleTime: 0,
  });
  const events = pages.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      <Top title="Admin" name="Admin"><SettingsTabs here="admin" /></Top>
      <div className="page columns">
        <section className="tile" aria-label="Audit trail">
          <div className="head wrap">
            <h2>Audit trail</h2>
            <div className="tabs">{KINDS.map((kind) => <Link key={kind.label} to="/settings/admin" search={{ types: kind.types }} data-here={kind.types === types}>{kind.label}</Link>)}</div>
            <a className="button right" href={query("/api/v1/audit/export", { types: chosen })} download="mosaic-audit.jsonl">Export</a>
          </div>
          {pages.isPending ? <Loading what="Reading the journal" /> : pages.isError ? <Trouble error={pages.error} retry={() => void pages.refetch()} /> : events.length === 0 ? <Empty>Nothing of that kind has happened.</Empty> : (
            <div className="scroll" tabIndex={0} role="group" aria-label="Events"><table className="table audit">
              <thead><tr><th className="r">Nr</th><th>When</th><th>Who</th><th>What</th><th>Details</th></tr></thead>
              <tbody>{events.map((event) => <Row key={event.seq} event={event} />)}</tbody>
            </table></div>
          )}
          {pages.hasNextPage && <button type="button" className="button" style={{ marginTop: 8 }} disabled={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>Earlier</button>}
        </section>
        <Installation />
      </div>
    </>
  );
}

function Row({ event }: { event: EventDocument }) {
  const [open, setOpen] = useState(false);
  return (
    <tr>
      <td className="r muted">{event.seq}</td>
      <td className="num" style={{ whiteSpace: "nowrap" }}>{new Date(event.occurred_at).toLocaleString("en-GB", { dateStyle: "short", timeStyle: "medium" })}</td>
      <td>{event.actor}</td>
      <td className="mono">{event.type}</td>
      <td style={{ width: "50%" }}>
        {event.run_id && <Link to="/runs/$runId" params={{ runId: event.run_id }} search={{ step: event.path || undefined }} className="mono">{shortId(event.run_id)}</Link>}{" "}
        <button type="button" className="detail-toggle" aria-expanded={open} onClick={() => setOpen(!open)}>{open ? "less" : oneLine(summary(event), 110)}</button>
        {open && <pre className="code" tabIndex={0}>{JSON.stringify(event.data, null, 2)}</pre>}
      </td>
    </tr>
  );
}

function summary(event: EventDocument): string {
  const data = event.data;
  const said = [data.title, data.status, data.by, data.note, data.workflow, data.tool, data.name, data.scope, data.reason].filter((value) => typeof value === "string" && value);
  return said.length ? said.join(" · ") : oneLine(data, 110);
}

function Installation() {
  const shown = useQuery(system).data;
  const who = useQuery(session).data;
  return (
    <div className="stack">
      <section className="tile" aria-label="Signed in">
        <h2>Signed in</h2>
        <dl className="facts"><dt>As</dt><dd>{who?.actor}</dd><dt>Tenant</dt><dd>{who?.tenant}</dd><dt>Until</dt><dd>{who?.expires_at ? new Date(who.expires_at).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }) : "–"}</dd></dl>
      </section>
      <section className="tile" aria-label="Installation">
        <h2>Installation</h2>
        <dl className="facts">
          <dt>Database</dt><dd>{shown?.database.dialect}, schema {shown?.database.schema}</dd>
          {shown?.nodes.map((node) => [<dt key={`t${node.id}`}>Node</dt>, <dd key={`d${node.id}`}>{String(node.host)} <span className="muted">version {String(node.app_version)}, process {String(node.pid)}{node.dead ? ", gone" : ""}</span></dd>])}
        </dl>
        <p style={{ marginTop: 8 }}><a href="/api/v1/openapi.json">OpenAPI document</a></p>
      </section>
    </div>
  );
}

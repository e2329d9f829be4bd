import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";
import { api, explain, query } from "../../api/client";
import { session, system } from "../../api/queries";
import type { AuditDigest, AuditPage, EventDocument } from "../../api/schema";
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
  const { types, actor } = route.useSearch();
  const go = route.useNavigate();
  const chosen = types?.split(",");
  const pages = useInfiniteQuery({
    queryKey: ["audit", types ?? "", actor ?? ""],
    queryFn: ({ pageParam, signal }) => api<AuditPage>(query("/audit", { before: pageParam, limit: 100, types: chosen, actor }), { signal }),
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
            <div className="tabs">{KINDS.map((kind) => <Link key={kind.label} to="/settings/admin" search={{ types: kind.types, ...(actor ? { actor } : {}) }} data-here={kind.types === types}>{kind.label}</Link>)}</div>
            {actor && <button type="button" className="button" onClick={() => void go({ search: { types } })} aria-label={`No longer only what ${actor} did`}>{actor} ✕</button>}
            <a className="button right" href={query("/api/v1/audit/export", { types: chosen })} download="mosaic-audit.jsonl">Export</a>
          </div>
          {pages.isPending ? <Loading what="Reading the journal" /> : pages.isError ? <Trouble error={pages.error} retry={() => void pages.refetch()} /> : events.length === 0 ? <Empty>Nothing of that kind has happened.</Empty> : (
            <div className="scroll" tabIndex={0} role="group" aria-label="Events"><table className="table audit">
              <thead><tr><th className="r">Nr</th><th>When</th><th>Who</th><th>What</th><th>Details</th></tr></thead>
              <tbody>{events.map((event) => <Row key={event.seq} event={event} only={(who) => void go({ search: { types, actor: who } })} />)}</tbody>
            </table></div>
          )}
          {pages.hasNextPage && <button type="button" className="button" style={{ marginTop: 8 }} disabled={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>Earlier</button>}
        </section>
        <div className="stack"><ChainCheck /><Installation /></div>
      </div>
    </>
  );
}

function Row({ event, only }: { event: EventDocument; only: (actor: string) => void }) {
  const [open, setOpen] = useState(false);
  return (
    <tr>
      <td className="r muted">{event.seq}</td>
      <td className="num" style={{ whiteSpace: "nowrap" }}>{new Date(event.occurred_at).toLocaleString("en-GB", { dateStyle: "short", timeStyle: "medium" })}</td>
      <td><button type="button" className="detail-toggle" title={`Only what ${event.actor} did`} onClick={() => only(event.actor)}>{event.actor}</button></td>
      <td className="mono">{event.type}</td>
      <td style={{ width: "50%" }}>
        {event.run_id && <Link to="/runs/$runId" params={{ runId: event.run_id }} search={{ step: event.path || undefined }} className="mono">{shortId(event.run_id)}</Link>}{" "}
        <button type="button" className="detail-toggle" aria-expanded={open} onClick={() => setOpen(!open)}>{open ? "less" : oneLine(summary(event), 110)}</button>
        {open && <pre className="code" tabIndex={0}>{JSON.stringify(event.data, null, 2)}</pre>}
      </td>
    </tr>
  );
}

/** Chains the whole trail into one digest, and compares it with one that somebody kept. */
function ChainCheck() {
  const [kept, setKept] = useState("");
  const [found, setFound] = useState<AuditDigest | null>(null);
  const [told, setTold] = useState<{ ok: boolean; text: string } | null>(null);
  const [busy, setBusy] = useState(false);
  const compute = async () => {
    setBusy(true);
    setTold(null);
    const [, through, digest] = kept.trim().match(/^(\d+)[ :]+(sha256:[0-9a-f]{64})$/) ?? [];
    try {
      if (kept.trim() && !digest) throw new Error("A kept digest reads like: 120 sha256:…, the event's number and the digest.");
      const now = await api<AuditDigest>(query("/board/audit/digest", { through }));
      setFound(now);
      if (digest) setTold(now.digest === digest ? { ok: true, text: `Nothing up to event ${through} was changed since that digest was kept.` } : { ok: false, text: `Something up to event ${through} is not what it was when that digest was kept.` });
    } catch (error) {
      setTold({ ok: false, text: explain(error) });
    }
    setBusy(false);
  };
  return (
    <section className="tile" aria-label="Chain check">
      <h2>Chain check</h2>
      <p className="muted">Each event's digest holds the one before it. Keep the last one elsewhere; later it shows whether anything before it was changed.</p>
      <form className="stack-8" style={{ marginTop: 8 }} onSubmit={(event) => { event.preventDefault(); void compute(); }}>
        <input className="field mono" aria-label="A digest that was kept" placeholder="A digest that was kept, to compare (optional)" value={kept} onChange={(event) => setKept(event.target.value)} />
        <button type="submit" className="button" disabled={busy}>{busy ? "Reading the journal…" : kept.trim() ? "Compare" : "Make a digest"}</button>
      </form>
      {found && <p style={{ marginTop: 8 }} role="status">{found.events} events: <code className="digest">{found.through} {found.digest}</code></p>}
      {told && <div className={told.ok ? "notice good" : "notice bad"} role="alert" style={{ marginTop: 8 }}>{told.text}</div>}
    </section>
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

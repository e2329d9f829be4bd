import { useQueries, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useMemo, useRef, useState } from "react";
import { answered, ask as askQuery, asks, graph, plans } from "../../api/queries";
import type { ApprovalDocument } from "../../api/schema";
import { Top } from "../../app/top";
import { Empty, Loading, Trouble } from "../../ui/empty";
import { ago, bare } from "../../ui/format";
import { useHotkeys } from "../../ui/hotkeys";
import { Shape, stateOf } from "../../ui/status";
import { say } from "../../ui/toast";
import { decide } from "../runs/actions";
import { AskDetail, type AskHandle } from "./ask-detail";
import { takesPlainYes } from "./ask-tile";

const route = getRouteApi("/inbox");

/** Everything that waits for a person, with what follows from either answer; and what was answered. */
export function Inbox() {
  const search = route.useSearch();
  const go = route.useNavigate();
  const history = search.show === "answered";
  const list = useQuery(history ? answered : asks);
  const items = useMemo(() => {
    const all = list.data?.items ?? [];
    return history ? all.filter((item) => item.status !== "pending").reverse() : all;
  }, [history, list.data]);
  const [picked, setPicked] = useState<Set<string>>(new Set());
  const at = Math.max(0, items.findIndex((item) => item.id === search.ask));
  const chosenHere = items.find((item) => item.id === search.ask);
  const other = useQuery({ ...askQuery(search.ask ?? ""), enabled: Boolean(search.ask) && !chosenHere && list.isSuccess });
  const chosen = chosenHere ?? (search.ask ? other.data : undefined) ?? (search.ask && other.isFetching ? undefined : items[0]);
  const handle = useRef<AskHandle>(null);
  const choose = (id: string | undefined) => void go({ search: { ...search, ask: id }, replace: true });
  const step = (by: number) => choose(items[Math.min(Math.max(at + by, 0), items.length - 1)]?.id);
  const toNext = () => choose(items[at + 1]?.id ?? items[at - 1]?.id);
  useHotkeys({
    j: () => step(search.ask ? 1 : 0),
    k: () => step(-1),
    a: () => handle.current?.answer(true),
    r: () => handle.current?.answer(false),
  });
  return (
    <>
      <Top title="Inbox" name="Inbox">
        <div className="tabs">
          <Link to="/inbox" search={{ ask: undefined, show: undefined }} data-here={!history}>Waiting</Link>
          <Link to="/inbox" search={{ ask: undefined, show: "answered" }} data-here={history}>Answered</Link>
        </div>
      </Top>
      {list.isPending ? <div className="tile page"><Loading /></div> : list.isError ? <div className="tile page"><Trouble error={list.error} retry={() => void list.refetch()} /></div> : items.length === 0 && !chosen ? (
        <div className="tile page"><Empty action={<Link to="/" className="button">Home</Link>}>{history ? "Nothing was answered yet." : "Nothing waits for you."}</Empty></div>
      ) : (
        <div className="page inbox" data-open={Boolean(search.ask)}>
          <section className="tile list" aria-label="Asks">
            {!history && picked.size > 0 && <Bulk items={items.filter((item) => picked.has(item.id))} done={() => setPicked(new Set())} />}
            <ul>
              {items.map((item) => (
                <li key={item.id} className="ask-row" data-here={item.id === chosen?.id}>
                  {!history && takesPlainYes(item) && (
                    <input type="checkbox" aria-label={`Choose: ${item.title}`} checked={picked.has(item.id)} onChange={() => setPicked((known) => toggled(known, item.id))} />
                  )}
                  <button type="button" onClick={() => choose(item.id)} aria-current={item.id === chosen?.id}>
                    <Shape state={stateOf(item.status)} />
                    <span className="stack" style={{ gap: 0 }}>
                      <span className="strong clip">{item.title}</span>
                      <span className="muted small clip">{bare(item.requested_by)} · {String(item.detail.risk ?? item.kind)} · {ago(item.decided_at ?? item.requested_at)}</span>
                    </span>
                  </button>
                </li>
              ))}
            </ul>
            {!history && <p className="muted small keys"><kbd>J</kbd> <kbd>K</kbd> move <kbd>A</kbd> approve <kbd>R</kbd> reject</p>}
          </section>
          <section className="tile detail" aria-label="Ask">
            {search.ask && <button type="button" className="button back" onClick={() => choose(undefined)}>← All asks</button>}
            {chosen ? <WithPlan ask={chosen}>{(found) => <AskDetail key={chosen.id} ask={chosen} graph={found} ref={handle} after={toNext} />}</WithPlan> : other.isError ? <Trouble error={other.error} /> : <Loading />}
          </section>
        </div>
      )}
    </>
  );
}

/** Finds the plan whose item the ask's run works on. */
function WithPlan({ ask, children }: { ask: ApprovalDocument; children: (graph: Parameters<typeof AskDetail>[0]["graph"]) => React.ReactNode }) {
  const list = useQuery(plans).data?.items ?? [];
  const graphs = useQueries({ queries: list.slice(0, 10).map((plan) => graph(plan.id)) });
  return children(graphs.find((found) => found.data?.items.some((item) => item.run_ids.includes(ask.run_id)))?.data);
}

function Bulk({ items, done }: { items: ApprovalDocument[]; done: () => void }) {
  const all = async (yes: boolean) => {
    done();
    const answers = await Promise.all(items.map((item) => decide(item, yes, {})));
    const went = answers.filter(Boolean).length;
    if (went < items.length) say(`${items.length - went} of ${items.length} could not be answered.`);
  };
  return (
    <div className="row wrap bulk">
      <span>{items.length} chosen</span>
      <button type="button" className="button act right" onClick={() => void all(true)}>Approve all</button>
      <button type="button" className="button no" onClick={() => void all(false)}>Reject all</button>
    </div>
  );
}

function toggled(known: Set<string>, id: string): Set<string> {
  const next = new Set(known);
  if (!next.delete(id)) next.add(id);
  return next;
}

import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from "react";
import { useRecent } from "../../api/live";
import type { ChangeDocument, GraphDocument, GraphItem } from "../../api/plans";
import { asks, graph as graphQuery } from "../../api/queries";
import type { ApprovalDocument } from "../../api/schema";
import { Figure, Top } from "../../app/top";
import { Spend } from "../../ui/chart";
import { Empty, Loading, Trouble } from "../../ui/empty";
import { bare, hours, usd } from "../../ui/format";
import { useHotkeys } from "../../ui/hotkeys";
import { Log } from "../../ui/log";
import { stateOf } from "../../ui/status";
import { TimeTrack } from "../../ui/time-track";
import { AskTile } from "../inbox/ask-tile";
import { decide } from "../runs/actions";
import { type Line, lineOf } from "../runs/lines";
import { ChangeDialog } from "./change-dialog";
import { apply, type Operation, tryOut } from "./changes";
import { ItemPanel } from "./item-panel";
import { Gantt } from "./gantt";
import { dependencyLayout, layout } from "./layout";
import { List } from "./list";
import { Scrubber } from "./scrubber";
import { useReplay } from "./use-replay";

const Canvas = lazy(() => import("./canvas").then((module) => ({ default: module.Canvas })));
const route = getRouteApi("/plans/$planId");

const LENSES = [["canvas", "Canvas"], ["list", "List"], ["gantt", "Gantt"], ["dag", "Dependencies"]] as const;

/** A plan: one canvas from the mosaic of its items to what an agent says now. */
export function Board() {
  const { planId } = route.useParams();
  const shown = useQuery(graphQuery(planId));
  if (shown.isPending) return <><Top title="Board" name="Board" /><div className="tile page"><Loading what="Laying out the plan" /></div></>;
  if (shown.isError) return <><Top title="Board" name="Board" /><div className="tile page"><Trouble error={shown.error} retry={() => void shown.refetch()} /></div></>;
  return <Plan now={shown.data} />;
}

function Plan({ now }: { now: GraphDocument }) {
  const search = route.useSearch();
  const go = route.useNavigate();
  const far = useNavigate();
  const narrow = useNarrow();
  const lens = search.lens ?? (narrow ? "list" : "canvas");
  const set = useCallback((more: Partial<typeof search>) => void go({ search: (known) => ({ ...known, ...more }), replace: true }), [go]);
  const replay = useReplay(now, search.at);
  const graph = replay.graph;
  const byNeeds = lens === "dag";
  const placed = useMemo(() => (byNeeds ? dependencyLayout(graph.items) : layout(graph.items)), [byNeeds, graph.items]);
  const names = useMemo(() => new Map(graph.items.map((item) => [item.id, `${item.key} ${item.title}`])), [graph.items]);
  const keys = useMemo(() => new Map(now.items.flatMap((item) => item.run_ids.map((run) => [run, item.key] as const))), [now.items]);
  const pending = useQuery(asks).data?.items;
  const askOfRun = useMemo(() => new Map((search.at ? [] : (pending ?? [])).map((ask) => [ask.run_id, ask])), [pending, search.at]);
  const chosen = graph.items.find((item) => item.id === search.item);
  const [critical, setCritical] = useState(false);
  const [zoom, setZoom] = useState(0);
  const [wanted, setWanted] = useState<{ operations: Operation[]; change: ChangeDocument } | null>(null);
  const consider = useCallback(async (operations: Operation[]) => {
    const change = await tryOut(now, operations);
    if (change) setWanted({ operations, change });
  }, [now]);
  const open = useCallback((id: string) => {
    const run = graph.items.find((item) => item.id === id)?.run_ids.at(-1);
    if (run) void far({ to: "/runs/$runId", params: { runId: run }, search: { step: undefined } });
  }, [far, graph.items]);
  const leaves = placed.cards.map((card) => card.item);
  const step = (by: number) => {
    const at = leaves.findIndex((item) => item.id === search.item);
    set({ item: leaves[at < 0 ? 0 : Math.min(Math.max(at + by, 0), leaves.length - 1)]?.id });
  };
  const mine = chosen ? askFor(chosen, askOfRun) : undefined;
  useHotkeys({
    j: () => step(1), k: () => step(-1), z: () => setZoom((count) => count + 1), c: () => setCritical((on) => !on),
    a: () => mine && void decide(mine, true, {}), r: () => mine && void decide(mine, false, {}), escape: () => set({ item: undefined }),
    enter: () => chosen && open(chosen.id),
    ...Object.fromEntries(LENSES.map(([name], index) => [String(index + 1), () => set({ lens: name })])),
  });
  if (!graph.items.length) return <><Top title={graph.name} name={graph.name} /><div className="tile page"><Empty>This plan has no items yet. <code>mosaic plan import</code> fills it from a file.</Empty></div></>;
  return (
    <>
      <Top title={graph.name} name={graph.name}>
        <Figure label="Done" wide>{Math.round(graph.progress * 100)} %</Figure>
        <Figure label="Spent">{usd(graph.actual_usd)}</Figure>
        <Figure label="Estimate" wide>{usd(graph.estimate_usd)}</Figure>
        <Figure label="To go" wide>{hours(graph.finish_hours)}</Figure>
      </Top>
      <div className="page board">
        <div className="stack canvas-side">
          <div className="tile canvas-tile">
            <div className="canvas-bar row wrap">
              <div className="tabs">
                {LENSES.map(([name, label]) => <button key={name} type="button" aria-pressed={lens === name} onClick={() => set({ lens: name })}>{label}</button>)}
              </div>
              <div className="tabs"><button type="button" aria-pressed={critical} onClick={() => setCritical(!critical)}>Critical path</button></div>
              {search.at !== undefined && <span className="tag warn">as it was</span>}
            </div>
            {lens === "list" ? <List graph={graph} asks={askOfRun} chosen={search.item} critical={critical} choose={(item) => set({ item })} /> : lens === "gantt" ? (
              <Gantt graph={graph} asks={askOfRun} chosen={search.item} critical={critical} choose={(item) => set({ item: item === search.item ? undefined : item })} />
            ) : (
              <div className="canvas"><Suspense fallback={<Loading what="Laying out the plan" />}>
                <Canvas key={lens} graph={graph} placed={placed} asks={askOfRun} chosen={search.item} critical={critical} fixed={search.at !== undefined || narrow} zoom={zoom}
                  choose={(item) => set({ item })} open={open}
                  move={(item, parent) => void consider([{ op: "move", item, parent }])}
                  link={(item, dependsOn) => void consider([{ op: "link", item, depends_on: dependsOn }])} />
              </Suspense></div>
            )}
            <Scrubber replay={replay} at={search.at} choose={(at) => set({ at })} keys={keys} />
          </div>
          {lens === "canvas" && <Load graph={graph} chosen={search.item} choose={(item) => set({ item })} />}
        </div>
        <div className="stack side">
          {chosen ? <ItemPanel graph={graph} item={chosen} ask={mine} consider={(operations) => void consider(operations)} zoom={() => setZoom((count) => count + 1)} close={() => set({ item: undefined })} /> : <Around graph={graph} asks={askOfRun} />}
        </div>
      </div>
      <ChangeDialog change={wanted?.change ?? null} names={names} close={() => setWanted(null)} confirm={() => { const { operations } = wanted!; setWanted(null); void apply(now, operations); }} />
    </>
  );
}

/** Who works when, by the hours that items are estimated at. */
function Load({ graph, chosen, choose }: { graph: GraphDocument; chosen: string | undefined; choose: (id: string) => void }) {
  const lanes = useMemo(() => {
    const parents = new Set(graph.items.map((item) => item.parent));
    const found = new Map<string, { label: string; spans: { id: string; label: string; state: ReturnType<typeof stateOf>; start: number; end: number }[] }>();
    for (const item of graph.items) {
      if (parents.has(item.id) || item.finish_hours <= item.start_hours) continue;
      const label = item.assignee ? bare(item.assignee) : "unassigned";
      const lane = found.get(label) ?? { label, spans: [] };
      lane.spans.push({ id: item.id, label: `${item.key} ${item.title}`, state: stateOf(item.status), start: item.start_hours, end: item.finish_hours });
      found.set(label, lane);
    }
    return [...found.values()].sort((one, other) => Number(one.label === "unassigned") - Number(other.label === "unassigned") || one.label.localeCompare(other.label));
  }, [graph.items]);
  if (!lanes.length) return null;
  return (
    <section className="tile load" aria-label="Load">
      <TimeTrack lanes={lanes} from={0} to={graph.finish_hours} chosen={chosen} choose={choose} format={hours} label="What is left, by who does it, in hours of work from now" />
    </section>
  );
}

function Around({ graph, asks: open }: { graph: GraphDocument; asks: Map<string, ApprovalDocument> }) {
  const runs = useMemo(() => new Set(graph.items.flatMap((item) => item.run_ids)), [graph.items]);
  const mine = [...open.values()].filter((ask) => runs.has(ask.run_id));
  const recent = useRecent();
  const keys = useMemo(() => new Map(graph.items.flatMap((item) => item.run_ids.map((run) => [run, item.key] as const))), [graph.items]);
  const lines = useMemo(
    () => recent.filter((event) => event.run_id && runs.has(event.run_id)).map(lineOf).filter((line) => line !== null && line.tone !== "quiet").map((line) => ({ ...line!, who: keys.get(line!.run) ?? line!.who })) as Line[],
    [keys, recent, runs],
  );
  return (
    <>
      <section className="tile" aria-label="Needs you">
        <div className="head"><h2>Needs you <span className="count">{mine.length}</span></h2></div>
        {mine.length === 0 && <p className="muted">Nothing here waits for you.</p>}
        {mine.map((ask) => <AskTile key={ask.id} ask={ask} />)}
      </section>
      <section className="tile" aria-label="Money">
        <div className="head"><h2>Money</h2><span className="right num">{usd(graph.actual_usd)} of {usd(graph.estimate_usd)}</span></div>
        <Spend spent={graph.actual_usd} of={graph.estimate_usd} />
      </section>
      <section className="tile output" aria-label="All agents">
        <div className="head"><h2>All agents</h2></div>
        {lines.length ? <Log lines={lines} label="What agents say" /> : <p className="muted">Nothing was said of late. <Link to="/runs">Runs</Link></p>}
      </section>
    </>
  );
}

export function askFor(item: GraphItem, open: Map<string, ApprovalDocument>): ApprovalDocument | undefined {
  for (const run of item.run_ids) if (open.has(run)) return open.get(run);
  return undefined;
}

function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(() => window.matchMedia("(max-width: 640px)").matches);
  useEffect(() => {
    const media = window.matchMedia("(max-width: 640px)");
    const changed = () => setNarrow(media.matches);
    media.addEventListener("change", changed);
    return () => media.removeEventListener("change", changed);
  }, []);
  return narrow;
}


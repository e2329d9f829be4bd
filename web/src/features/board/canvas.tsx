import "@xyflow/react/dist/base.css";
import { type Edge, MiniMap, type OnNodeDrag, ReactFlow, type ReactFlowInstance, useStore, ViewportPortal } from "@xyflow/react";
import { memo, useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { GraphDocument } from "../../api/plans";
import type { ApprovalDocument } from "../../api/schema";
import { usd } from "../../ui/format";
import { type State, stateOf } from "../../ui/status";
import { Card, type CardNode, HANDLES, type Level } from "./card";
import { CARD, curve, type LaneBox, type Layout, laneAt, type Placed, spendBars, tiles } from "./layout";

const TYPES = { card: Card };
/** From which zoom on cards are cards, hold their title, hold everything, and hold the log of their run. */
const LEVELS: [Level, number][] = [["log", 2.1], ["near", 0.62], ["words", 0.33], ["middle", 0.28]];
const ZOOMS = [1.1, 2.6];
const MOVES_MS = 250;

export interface CanvasProps {
  graph: GraphDocument;
  placed: Layout;
  asks: Map<string, ApprovalDocument>;
  chosen: string | undefined;
  critical: boolean;
  fixed: boolean;
  choose: (id: string | undefined) => void;
  open: (id: string) => void;
  move: (item: string, lane: string) => void;
  link: (item: string, dependsOn: string) => void;
  /** Changes when the selection is to be zoomed to. */
  zoom: number;
}

/** The plan as one canvas, from a mosaic to the cards. */
export function Canvas(props: CanvasProps) {
  const { graph, placed, asks, chosen, critical, fixed, choose, open, move, link, zoom } = props;
  const [level, setLevel] = useState<Level>("middle");
  const flow = useRef<ReactFlowInstance<CardNode> | null>(null);
  const aim = useRef({ zoom: 0, at: 0 });
  const keys = useMemo(() => new Map(graph.items.map((item) => [item.id, item.key])), [graph.items]);
  const nodes = useMemo(
    () => level === "far" ? [] : placed.cards.map((card): CardNode => ({
      id: card.item.id, type: "card", position: { x: card.x, y: card.y }, width: CARD.width, height: CARD.height,
      measured: CARD, handles: HANDLES, selected: card.item.id === chosen, draggable: !fixed, ariaLabel: `${card.item.title}, ${card.item.status}`,
      data: {
        item: card.item, ask: askOf(card, asks), level, dim: critical && !card.item.critical,
        after: card.item.depends_on.length ? `after ${card.item.depends_on.map((id) => keys.get(id) ?? "another plan").join(", ")}` : card.item.key,
      },
    })),
    [asks, chosen, critical, fixed, keys, level, placed.cards],
  );
  const [shown, setShown] = useState(nodes);
  useEffect(() => setShown(nodes), [nodes]);
  const edges = useMemo(() => (level === "far" ? [] : edgesOf(placed, graph, chosen, critical)), [chosen, critical, graph, level, placed]);
  useEffect(() => {
    if (zoom && chosen) {
      const card = placed.cards.find((item) => item.item.id === chosen);
      // While the canvas still moves, where it goes counts, so that two quick keys are two steps.
      const now = Date.now() - aim.current.at < MOVES_MS * 2 ? aim.current.zoom : (flow.current?.getZoom() ?? 0);
      const next = ZOOMS.find((size) => size > now * 1.05) ?? ZOOMS[0]!;
      aim.current = { zoom: next, at: Date.now() };
      if (card) void flow.current?.setCenter(card.x + CARD.width / 2, card.y + CARD.height / 2, { zoom: next, duration: reduced() ? 0 : MOVES_MS });
    }
    // Only a wish to zoom moves the canvas; a choice alone does not.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [zoom]);
  const dropped: OnNodeDrag<CardNode> = useCallback((_, node) => {
    const lane = laneAt(placed.lanes, node.position.x + CARD.width / 2, node.position.y + CARD.height / 2);
    setShown(nodes);
    if (lane && lane.id !== node.data.item.parent) move(node.id, lane.id);
  }, [move, nodes, placed.lanes]);
  return (
    <ReactFlow<CardNode>
      className={`level-${level}`}
      nodes={shown} edges={edges} nodeTypes={TYPES} minZoom={0.02} maxZoom={3.2}
      onInit={(instance) => {
        flow.current = instance;
        const [width, height] = [Math.max(placed.width, 960), Math.max(placed.height, 420)];
        void instance.fitBounds({ x: (placed.width - width) / 2, y: (placed.height - height) / 2, width, height }, { padding: 0.03 });
      }}
      onNodesChange={(changes) => setShown((known) => changes.reduce((list, change) => change.type === "position" && change.position ? list.map((node) => node.id === change.id ? { ...node, position: change.position!, dragging: change.dragging ?? false } : node) : list, known))}
      onNodeDragStop={dropped}
      onNodeClick={(_, node) => choose(node.id)}
      onNodeDoubleClick={(_, node) => open(node.id)}
      onPaneClick={() => choose(undefined)}
      onConnect={({ source, target }) => link(target, source)}
      onSelectionChange={({ nodes: picked }) => picked[0] && picked[0].id !== chosen && choose(picked[0].id)}
      nodesConnectable={!fixed} onlyRenderVisibleElements deleteKeyCode={null} selectNodesOnDrag={false} zoomOnDoubleClick={false}
      proOptions={{ hideAttribution: true }}
    >
      <Level tell={setLevel} />
      <ViewportPortal><Background placed={placed} far={level === "far"} choose={choose} /></ViewportPortal>
      {level !== "far" && <MiniMap pannable zoomable nodeColor={(node) => colour(stateOf((node as CardNode).data.item.status))} nodeStrokeWidth={0} bgColor="var(--lane)" maskColor="color-mix(in srgb, var(--tile), transparent 40%)" ariaLabel="Map of the plan" />}
    </ReactFlow>
  );
}

function Level({ tell }: { tell: (level: Level) => void }) {
  const level = useStore((state): Level => (LEVELS.find(([, from]) => state.transform[2] >= from)?.[0] ?? "far"));
  useEffect(() => tell(level), [level, tell]);
  return null;
}

const zoomOf = (state: { transform: [number, number, number] }) => Math.round(state.transform[2] * 20) / 20;

/** Lanes, and from far away everything: a path for each state, a path for all edges. */
const Background = memo(function Background({ placed, far, choose }: { placed: Layout; far: boolean; choose: (id: string) => void }) {
  const zoom = Math.max(useStore(zoomOf), 0.02);
  const font = Math.min(Math.max(11.5 / zoom, 12), 36);
  return (
    <svg className="backdrop" width={placed.width} height={placed.height} aria-hidden="true">
      {placed.lanes.map((lane) => <rect key={lane.id} className="lane-box" x={lane.x} y={lane.y} width={lane.width} height={lane.height} rx={4} />)}
      {far && <Mosaic placed={placed} choose={choose} />}
      {placed.lanes.map((lane) => <LaneTitle key={lane.id} lane={lane} font={font} />)}
    </svg>
  );
});

function LaneTitle({ lane, font }: { lane: LaneBox; font: number }) {
  return (
    <text x={lane.x + 16} y={lane.y + 24 + font / 3} fontSize={font} className="lane-title">
      {lane.title} <tspan className="lane-figures">{lane.done}/{lane.total} · {usd(lane.usd)}{lane.of > 0 && ` of ${usd(lane.of)}`}</tspan>
    </text>
  );
}

const STATES: State[] = ["done", "running", "queued", "needs", "failed", "todo", "stopped"];

const Mosaic = memo(function Mosaic({ placed, choose }: { placed: Layout; choose: (id: string) => void }) {
  const drawn = useMemo(() => {
    const at = new Map(placed.cards.map((card) => [card.item.id, card]));
    return {
      edges: placed.edges.map((edge) => curve(at.get(edge.from)!, at.get(edge.to)!)).join(""),
      bars: spendBars(placed.cards),
      states: STATES.map((state) => ({ state, path: shapePath(state, placed.cards.filter((card) => stateOf(card.item.status) === state)) })),
    };
  }, [placed]);
  return (
    <g
      onClick={(event) => {
        const box = event.currentTarget.ownerSVGElement!.getBoundingClientRect();
        const scale = placed.width / box.width;
        const x = (event.clientX - box.left) * scale;
        const y = (event.clientY - box.top) * scale;
        const hit = placed.cards.find((card) => x >= card.x && x <= card.x + CARD.width && y >= card.y && y <= card.y + CARD.height);
        if (hit) {
          event.stopPropagation();
          choose(hit.item.id);
        }
      }}
    >
      <path d={drawn.edges} className="far-edges" />
      {drawn.states.map(({ state, path }) => path && <path key={state} d={path} className={`far-tile ${state}`} />)}
      <path d={drawn.bars.spent} className="far-spent" />
      <path d={drawn.bars.over} className="far-over" />
    </g>
  );
});

function shapePath(state: State, cards: Placed[]): string {
  if (state === "todo" || state === "stopped") return tiles(cards, 3);
  if (state !== "needs") return tiles(cards);
  return cards.map(({ x, y }) => `M${x} ${y}h${CARD.width - 26}l26 26v${CARD.height - 26}h${-CARD.width}z`).join("");
}

function edgesOf(placed: Layout, graph: GraphDocument, chosen: string | undefined, critical: boolean): Edge[] {
  const path = new Set(graph.critical_path);
  return placed.edges.map(({ from, to }) => {
    const mine = from === chosen || to === chosen;
    const decides = path.has(from) && path.has(to);
    return {
      id: `${from}-${to}`, source: from, target: to, sourceHandle: "out", targetHandle: "in", focusable: false,
      className: mine ? "mine" : critical ? (decides ? "mine" : "dim") : "", zIndex: mine ? 1 : 0,
    };
  });
}

function askOf(card: Placed, asks: Map<string, ApprovalDocument>): ApprovalDocument | undefined {
  for (const run of card.item.run_ids) if (asks.has(run)) return asks.get(run);
  return undefined;
}

function colour(state: State): string {
  return { todo: "var(--todo)", queued: "var(--queued)", running: "var(--lapis-fill)", needs: "var(--needs)", done: "var(--done)", failed: "var(--failed)", stopped: "var(--todo)" }[state];
}

const reduced = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

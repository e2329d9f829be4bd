import type { GraphItem } from "../../api/plans";

export const CARD = { width: 184, height: 70 };
const PITCH = { x: 212, y: 84 };
const LANE = { top: 48, bottom: 14, left: 16, gap: 12 };

export interface Placed {
  item: GraphItem;
  x: number;
  y: number;
}

/** The items of one parent, side by side in the order in which they can be done. */
export interface LaneBox {
  id: string;
  title: string;
  x: number;
  y: number;
  width: number;
  height: number;
  done: number;
  total: number;
  usd: number;
  /** What was estimated. */
  of: number;
}

export interface Layout {
  cards: Placed[];
  lanes: LaneBox[];
  edges: { from: string; to: string }[];
  width: number;
  height: number;
}

/** Width by height of what a canvas usually has. */
const ASPECT = 1.9;
const COLUMN_GAP = 40;

/**
 * Places a plan: a lane for each parent of items without children, columns in it by what an item waits for, and lanes in
 * as many columns as fill a screen best. Own, since it is all that is needed and takes a millisecond where general
 * layouts take seconds.
 */
export function layout(items: GraphItem[]): Layout {
  const { leaves, byId, children } = tree(items);
  const rank = ranks(leaves, byId, children);
  const groups = new Map<string, GraphItem[]>();
  for (const leaf of leaves) {
    const lane = leaf.parent ?? leaf.id;
    const known = groups.get(lane);
    if (known) known.push(leaf);
    else groups.set(lane, [leaf]);
  }
  const lanes: LaneBox[] = [];
  const inside = new Map<string, Placed[]>();
  for (const [id, members] of groups) {
    const first = Math.min(...members.map((item) => rank.get(item.id) ?? 0));
    const rows = new Map<number, number>();
    let depth = 1;
    let right = 0;
    const cards = members.map((item): Placed => {
      const column = (rank.get(item.id) ?? 0) - first;
      const row = rows.get(column) ?? 0;
      rows.set(column, row + 1);
      depth = Math.max(depth, row + 1);
      right = Math.max(right, column);
      return { item, x: LANE.left + column * PITCH.x, y: LANE.top + row * PITCH.y };
    });
    inside.set(id, cards);
    lanes.push({
      id, title: titleOf(id, byId), x: 0, y: 0, width: LANE.left * 2 + right * PITCH.x + CARD.width,
      height: LANE.top + depth * PITCH.y - (PITCH.y - CARD.height) + LANE.bottom,
      done: members.filter((item) => item.status === "done").length, total: members.length,
      usd: members.reduce((sum, item) => sum + item.actual_usd, 0), of: members.reduce((sum, item) => sum + (item.estimate_usd ?? 0), 0),
    });
  }
  const size = inColumns(lanes);
  const cards = lanes.flatMap((lane) => inside.get(lane.id)!.map((card) => ({ ...card, x: card.x + lane.x, y: card.y + lane.y })));
  return { cards, lanes, edges: edgesOf(leaves), ...size };
}

/** Gives lanes their places, in reading order down one column after the other; returns the size of it all. */
function inColumns(lanes: LaneBox[]): { width: number; height: number } {
  const total = lanes.reduce((sum, lane) => sum + lane.height + LANE.gap, 0);
  let best = { scale: 0, cap: total };
  for (let count = 1; count <= 8; count++) {
    const cap = Math.max(total / count, ...lanes.map((lane) => lane.height));
    const { width, height } = fill(lanes, cap);
    const scale = Math.min(ASPECT / Math.max(width, 1), 1 / Math.max(height, 1));
    if (scale > best.scale * 1.02) best = { scale, cap };
  }
  return fill(lanes, best.cap, (lane, x, y) => Object.assign(lane, { x, y }));
}

function fill(lanes: LaneBox[], cap: number, place?: (lane: LaneBox, x: number, y: number) => void): { width: number; height: number } {
  let [x, y, widest, height] = [0, 0, 0, 0];
  for (const lane of lanes) {
    if (y > 0 && y + lane.height / 2 > cap) [x, y, widest] = [x + widest + COLUMN_GAP, 0, 0];
    place?.(lane, x, y);
    widest = Math.max(widest, lane.width);
    y += lane.height + LANE.gap;
    height = Math.max(height, y);
  }
  return { width: x + widest, height };
}

/** Places the items without children by what they wait for alone: everything stands to the right of what it needs. */
export function dependencyLayout(items: GraphItem[]): Layout {
  const { leaves, byId, children } = tree(items);
  const rank = ranks(leaves, byId, children);
  const columns: GraphItem[][] = [];
  for (const leaf of leaves) (columns[rank.get(leaf.id) ?? 0] ??= []).push(leaf);
  const most = Math.max(8, Math.ceil(Math.sqrt((leaves.length * PITCH.x) / (PITCH.y * ASPECT))));
  const at = new Map<string, number>();
  const cards: Placed[] = [];
  let x = 0;
  for (const column of columns) {
    // What waits stands near what it waits for: fewer lines cross.
    const near = (item: GraphItem) => {
      const rows = item.depends_on.map((id) => at.get(id)).filter((row) => row !== undefined);
      return rows.length ? rows.reduce((sum, row) => sum + row, 0) / rows.length : Number.POSITIVE_INFINITY;
    };
    const keyed = (column ?? []).map((item, index) => ({ item, index, row: near(item) }));
    keyed.sort((one, other) => (one.row === other.row ? one.index - other.index : one.row - other.row));
    keyed.forEach(({ item }, index) => {
      const row = index % most;
      at.set(item.id, row);
      cards.push({ item, x: x + Math.floor(index / most) * PITCH.x, y: row * PITCH.y });
    });
    x += Math.max(1, Math.ceil(keyed.length / most)) * PITCH.x + COLUMN_GAP;
  }
  const height = Math.max(...cards.map((card) => card.y + CARD.height), 0);
  return { cards, lanes: [], edges: edgesOf(leaves), width: Math.max(x - COLUMN_GAP - PITCH.x + CARD.width, 0), height };
}

function tree(items: GraphItem[]): { leaves: GraphItem[]; byId: Map<string, GraphItem>; children: Map<string, GraphItem[]> } {
  const byId = new Map(items.map((item) => [item.id, item]));
  const children = childrenOf(items);
  return { leaves: inOrder(items, children).filter((item) => !children.has(item.id)), byId, children };
}

/** The items under each item, as they come. */
export function childrenOf(items: GraphItem[]): Map<string, GraphItem[]> {
  const children = new Map<string, GraphItem[]>();
  for (const item of items) {
    if (!item.parent) continue;
    const known = children.get(item.parent);
    if (known) known.push(item);
    else children.set(item.parent, [item]);
  }
  return children;
}

function titleOf(id: string, byId: Map<string, GraphItem>): string {
  const lane = byId.get(id);
  const above = lane?.parent ? byId.get(lane.parent) : undefined;
  return [above?.title, lane?.title].filter(Boolean).join(" / ");
}

/** Parents before children, siblings by rank. */
export function inOrder(items: GraphItem[], children: Map<string, GraphItem[]>): GraphItem[] {
  const found: GraphItem[] = [];
  const walk = (level: GraphItem[]) => {
    for (const item of [...level].sort((one, other) => one.rank - other.rank || one.key.localeCompare(other.key))) {
      found.push(item);
      walk(children.get(item.id) ?? []);
    }
  };
  walk(items.filter((item) => !item.parent));
  return found;
}

function edgesOf(leaves: GraphItem[]): { from: string; to: string }[] {
  const shown = new Set(leaves.map((item) => item.id));
  return leaves.flatMap((item) => item.depends_on.filter((id) => shown.has(id)).map((id) => ({ from: id, to: item.id })));
}

/** The column of each leaf: one after the last of all that it, or something above it, waits for. */
function ranks(leaves: GraphItem[], byId: Map<string, GraphItem>, children: Map<string, GraphItem[]>): Map<string, number> {
  const known = new Map<string, number>();
  const visiting = new Set<string>();
  const below = (id: string): GraphItem[] => {
    const list = children.get(id);
    return list ? list.flatMap((child) => below(child.id)) : byId.has(id) ? [byId.get(id)!] : [];
  };
  const of = (item: GraphItem): number => {
    const found = known.get(item.id);
    if (found !== undefined) return found;
    if (visiting.has(item.id)) return 0;
    visiting.add(item.id);
    let column = 0;
    for (let at: GraphItem | undefined = item; at; at = at.parent ? byId.get(at.parent) : undefined) {
      for (const id of at.depends_on) for (const leaf of below(id)) if (leaf.id !== item.id) column = Math.max(column, of(leaf) + 1);
    }
    visiting.delete(item.id);
    known.set(item.id, column);
    return column;
  };
  for (const leaf of leaves) of(leaf);
  return known;
}

/** The lane at a place; null between two. Beside a lane is in it, as far as its column goes. */
export function laneAt(lanes: LaneBox[], x: number, y: number): LaneBox | null {
  const rows = lanes.filter((lane) => y >= lane.y && y <= lane.y + lane.height);
  return rows.filter((lane) => x >= lane.x - COLUMN_GAP / 2).sort((one, other) => other.x - one.x)[0] ?? null;
}

/** One SVG path for many rectangles: thousands of tesserae cost one element per state. */
export function tiles(cards: Placed[], inset = 0): string {
  let path = "";
  for (const { x, y } of cards) path += `M${x + inset} ${y + inset}h${CARD.width - 2 * inset}v${CARD.height - 2 * inset}h${2 * inset - CARD.width}z`;
  return path;
}

/** Where an edge runs: out on the right, in on the left. */
export function curve(from: Placed, to: Placed): string {
  const x1 = from.x + CARD.width;
  const y1 = from.y + CARD.height / 2;
  const y2 = to.y + CARD.height / 2;
  const bend = Math.max(28, Math.min((to.x - x1) / 2, 60));
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${to.x - bend} ${y2} ${to.x} ${y2}`;
}

/** A bar at the foot of each card for what was spent of its estimate; `over` those that passed it. */
export function spendBars(cards: Placed[]): { spent: string; over: string } {
  let [spent, over] = ["", ""];
  for (const { item, x, y } of cards) {
    if (item.actual_usd <= 0) continue;
    const beyond = item.estimate_usd != null && item.actual_usd > item.estimate_usd;
    const width = item.estimate_usd ? Math.min(item.actual_usd / item.estimate_usd, 1) * CARD.width : CARD.width;
    const bar = `M${x} ${y + CARD.height - 9}h${width.toFixed(1)}v9h${(-width).toFixed(1)}z`;
    if (beyond) over += bar;
    else spent += bar;
  }
  return { spent, over };
}

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
}

export interface Layout {
  cards: Placed[];
  lanes: LaneBox[];
  edges: { from: string; to: string }[];
  width: number;
  height: number;
}

/**
 * Places a plan: a lane for each parent of items without children, columns by what an item waits for. Own, since it is
 * all that is needed and takes a millisecond where general layouts take seconds.
 */
export function layout(items: GraphItem[]): Layout {
  const byId = new Map(items.map((item) => [item.id, item]));
  const children = new Map<string, GraphItem[]>();
  for (const item of items) if (item.parent) children.set(item.parent, [...(children.get(item.parent) ?? []), item]);
  const leaves = inOrder(items, children).filter((item) => !children.has(item.id));
  const rank = ranks(leaves, byId, children);
  const groups = new Map<string, GraphItem[]>();
  for (const leaf of leaves) {
    const lane = leaf.parent ?? leaf.id;
    groups.set(lane, [...(groups.get(lane) ?? []), leaf]);
  }
  const cards: Placed[] = [];
  const lanes: LaneBox[] = [];
  let y = 0;
  for (const [id, members] of groups) {
    const rows = new Map<number, number>();
    let depth = 1;
    let right = 0;
    for (const item of members) {
      const column = rank.get(item.id) ?? 0;
      const row = rows.get(column) ?? 0;
      rows.set(column, row + 1);
      depth = Math.max(depth, row + 1);
      right = Math.max(right, column);
      cards.push({ item, x: LANE.left + column * PITCH.x, y: y + LANE.top + row * PITCH.y });
    }
    const height = LANE.top + depth * PITCH.y - (PITCH.y - CARD.height) + LANE.bottom;
    lanes.push({
      id, title: titleOf(id, byId), x: 0, y, width: LANE.left * 2 + right * PITCH.x + CARD.width, height,
      done: members.filter((item) => item.status === "done").length, total: members.length,
      usd: members.reduce((sum, item) => sum + item.actual_usd, 0),
    });
    y += height + LANE.gap;
  }
  return { cards, lanes, edges: edgesOf(leaves), width: Math.max(...lanes.map((lane) => lane.width), 0), height: y };
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

/** The lane at a height; null between two. */
export function laneAt(lanes: LaneBox[], y: number): LaneBox | null {
  return lanes.find((lane) => y >= lane.y && y <= lane.y + lane.height) ?? null;
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

import type { OutlineStep } from "../../api/schema";

export const NODE = { width: 208, height: 50 };
const GAP = { x: 12, y: 26 };
const PAD = { side: 10, top: 50, bottom: 10, label: 20, back: 26 };

/** A step where it is drawn; `holds` says that others are drawn inside it. */
export interface FlowNode {
  step: OutlineStep;
  x: number;
  y: number;
  width: number;
  height: number;
  holds: boolean;
}

export interface FlowEdge {
  path: string;
  /** It is gone only after a failure. */
  back: boolean;
}

export interface Flow {
  nodes: FlowNode[];
  edges: FlowEdge[];
  labels: { text: string; x: number; y: number; width: number }[];
  width: number;
  height: number;
}

interface Box {
  width: number;
  height: number;
  place: (x: number, y: number) => void;
}

/** Places the steps of a workflow: one below the other, side by side where they are done at the same time, inside what repeats or guards them. */
export function flow(steps: OutlineStep[]): Flow {
  const drawn: Flow = { nodes: [], edges: [], labels: [], width: 0, height: 0 };
  const box = sequence(steps, drawn);
  box.place(0, 0);
  return { ...drawn, width: box.width, height: box.height };
}

function sequence(steps: OutlineStep[], drawn: Flow): Box {
  const boxes = steps.map((step) => of(step, drawn));
  const back = steps.some((step) => step.goto) ? PAD.back : 0;
  const inner = Math.max(...boxes.map((box) => box.width), 0);
  return {
    width: inner + back,
    height: boxes.reduce((sum, box) => sum + box.height, 0) + GAP.y * Math.max(boxes.length - 1, 0),
    place: (x, y) => {
      const middle = x + inner / 2;
      const placed = new Map<string, { right: number; top: number; bottom: number }>();
      let top = y;
      boxes.forEach((box, index) => {
        const left = middle - box.width / 2;
        box.place(left, top);
        if (index > 0) drawn.edges.push({ path: `M${middle} ${top - GAP.y}V${top - 2}`, back: false });
        placed.set(steps[index]!.name, { right: left + box.width, top, bottom: top + box.height });
        top += box.height + GAP.y;
      });
      for (const step of steps) {
        const from = placed.get(step.name)!;
        const to = step.goto ? placed.get(step.goto) : undefined;
        if (!to) continue;
        const far = x + inner + back - 8;
        drawn.edges.push({ path: `M${from.right} ${(from.top + from.bottom) / 2}H${far}V${(to.top + to.bottom) / 2}H${to.right + 3}`, back: true });
      }
    },
  };
}

function of(step: OutlineStep, drawn: Flow): Box {
  const blocks = step.blocks.map((block) => ({ label: step.parallel ? "" : block.label, box: sequence(block.steps, drawn), name: block.label }));
  if (!blocks.length) {
    return { ...NODE, place: (x, y) => void drawn.nodes.push({ step, x, y, ...NODE, holds: false }) };
  }
  const rows = inRows(step, blocks);
  const labelled = blocks.some((block) => block.label) ? PAD.label : 0;
  const widths = rows.map((row) => row.reduce((sum, block) => sum + block.box.width, 0) + GAP.x * (row.length - 1));
  const heights = rows.map((row) => Math.max(...row.map((block) => block.box.height)) + labelled);
  const width = Math.max(NODE.width, ...widths) + 2 * PAD.side;
  const height = PAD.top + heights.reduce((sum, tall) => sum + tall, 0) + GAP.y * (rows.length - 1) + PAD.bottom;
  return {
    width,
    height,
    place: (x, y) => {
      drawn.nodes.push({ step, x, y, width, height, holds: true });
      const at = new Map<string, { middle: number; top: number; bottom: number }>();
      let top = y + PAD.top;
      rows.forEach((row, index) => {
        let left = x + (width - widths[index]!) / 2;
        for (const block of row) {
          if (block.label) drawn.labels.push({ text: block.label, x: left, y: top, width: block.box.width });
          block.box.place(left, top + labelled);
          at.set(block.name, { middle: left + block.box.width / 2, top: top + labelled, bottom: top + labelled + block.box.height });
          left += block.box.width + GAP.x;
        }
        top += heights[index]! + GAP.y;
      });
      if (!step.parallel) return;
      for (const block of step.blocks) {
        const to = at.get(block.label);
        for (const name of block.steps[0]?.needs ?? []) {
          const from = at.get(name);
          if (!from || !to) continue;
          const half = (from.bottom + to.top) / 2;
          drawn.edges.push({ path: `M${from.middle} ${from.bottom}C${from.middle} ${half} ${to.middle} ${half} ${to.middle} ${to.top - 2}`, back: false });
        }
      }
    },
  };
}

/** Branches that need others stand in a row below those. */
function inRows<T extends { name: string }>(step: OutlineStep, blocks: T[]): T[][] {
  if (!step.parallel) return [blocks];
  const needs = new Map(step.blocks.map((block) => [block.label, block.steps[0]?.needs ?? []]));
  const known = new Map<string, number>();
  const rank = (name: string, depth = 0): number => {
    const found = known.get(name);
    if (found !== undefined) return found;
    const row = depth > blocks.length ? 0 : Math.max(0, ...(needs.get(name) ?? []).map((other) => rank(other, depth + 1) + 1));
    known.set(name, row);
    return row;
  };
  const rows: T[][] = [];
  for (const block of blocks) (rows[rank(block.name)] ??= []).push(block);
  return rows.filter(Boolean);
}

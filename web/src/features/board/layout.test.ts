import { describe, expect, it } from "vitest";
import type { GraphDocument, GraphItem } from "../../api/plans";
import { unblockedBy } from "../inbox/consequences";
import { CARD, dependencyLayout, laneAt, layout, spendBars, tiles } from "./layout";
import { replay } from "./replay";

const item = (id: string, parent: string | null, more: Partial<GraphItem> = {}): GraphItem => ({
  id, key: id, kind: parent ? "task" : "story", parent, rank: 0, title: id, status: "todo", reason: null, assignee: null, depends_on: [],
  estimate_usd: 1, actual_usd: 0, estimate_hours: 1, start_hours: 0, finish_hours: 1, progress: 0, critical: false, run_ids: [], ...more,
});

/** A plan of stories whose tasks follow each other, each story waiting for a task of the one before. */
function plan(stories: number, tasks: number): GraphItem[] {
  const found: GraphItem[] = [];
  for (let s = 0; s < stories; s++) {
    found.push(item(`s${s}`, null, { rank: s }));
    for (let t = 0; t < tasks; t++) found.push(item(`s${s}t${t}`, `s${s}`, { rank: t, depends_on: t ? [`s${s}t${t - 1}`] : s % 5 ? [`s${s - 1}t0`] : [] }));
  }
  return found;
}

describe("layout", () => {
  it("gives each parent a lane and puts what waits to the right of what it waits for", () => {
    const placed = layout(plan(4, 5));
    expect(placed.lanes.map((lane) => lane.id)).toEqual(["s0", "s1", "s2", "s3"]);
    const at = new Map(placed.cards.map((card) => [card.item.id, card]));
    for (const edge of placed.edges) {
      const [from, to] = [at.get(edge.from)!, at.get(edge.to)!];
      if (from.item.parent === to.item.parent) expect(to.x).toBeGreaterThan(from.x);
    }
    expect(placed.edges).toHaveLength(4 * 4 + 3);
  });

  it("lets no card cover another, and keeps each in its lane", () => {
    const placed = layout([item("s", null), ...Array.from({ length: 9 }, (_, n) => item(`t${n}`, "s", { rank: n, depends_on: n > 4 ? ["t0"] : [] }))]);
    for (const [n, one] of placed.cards.entries()) {
      expect(laneAt(placed.lanes, one.x, one.y + CARD.height / 2)?.id).toBe("s");
      for (const other of placed.cards.slice(n + 1)) expect(Math.abs(one.x - other.x) >= CARD.width || Math.abs(one.y - other.y) >= CARD.height).toBe(true);
    }
  });

  it("counts what a parent waits for, and is not caught in a cycle", () => {
    const items = [item("a", null), item("a1", "a"), item("b", null, { rank: 1, depends_on: ["a"] }), item("b1", "b")];
    const at = new Map(dependencyLayout(items).cards.map((card) => [card.item.id, card.x]));
    expect(at.get("b1")).toBeGreaterThan(at.get("a1")!);
    expect(layout([item("x", null), item("x1", "x", { depends_on: ["x2"] }), item("x2", "x", { depends_on: ["x1"] })]).cards).toHaveLength(2);
  });

  it("fills a wide screen with lanes in columns, none of which covers another", () => {
    const { lanes, width, height } = layout(plan(24, 4));
    expect(width / height).toBeGreaterThan(1);
    expect(width / height).toBeLessThan(4);
    for (const [n, one] of lanes.entries()) {
      for (const other of lanes.slice(n + 1)) {
        expect(one.x + one.width <= other.x || other.x + other.width <= one.x || one.y + one.height <= other.y || other.y + other.height <= one.y).toBe(true);
      }
    }
  });

  it("puts everything to the right of what it waits for when dependencies are what is looked at", () => {
    const placed = dependencyLayout(plan(6, 5));
    const at = new Map(placed.cards.map((card) => [card.item.id, card]));
    for (const edge of placed.edges) expect(at.get(edge.to)!.x).toBeGreaterThan(at.get(edge.from)!.x);
    const places = new Set(placed.cards.map((card) => `${card.x} ${card.y}`));
    expect(places.size).toBe(placed.cards.length);
    expect(dependencyLayout(Array.from({ length: 200 }, (_, n) => item(`t${n}`, null))).height).toBeLessThan(2_000);
  });

  it("draws what was spent of an estimate as a bar, and what passed it as another", () => {
    const { cards } = layout([item("a", null, { actual_usd: 0.5 }), item("b", null, { actual_usd: 3, rank: 1 }), item("c", null, { rank: 2 })]);
    const { spent, over } = spendBars(cards);
    expect(spent.match(/M/g)).toHaveLength(1);
    expect(spent).toContain(`h${(CARD.width / 2).toFixed(1)}`);
    expect(over.match(/M/g)).toHaveLength(1);
  });

  it("lays out two thousand tasks within a frame or two", () => {
    const items = plan(100, 20);
    layout(items);
    const started = performance.now();
    const placed = layout(items);
    const took = performance.now() - started;
    console.log(`layout of ${placed.cards.length} tasks: ${took.toFixed(1)} ms`);
    expect(placed.cards).toHaveLength(2_000);
    expect(tiles(placed.cards).match(/M/g)).toHaveLength(2_000);
  });
});

describe("what follows", () => {
  it("finds what can start when an item is done", () => {
    const items = [item("a", "s"), item("b", "s", { depends_on: ["a"] }), item("c", "s", { depends_on: ["a", "d"] }), item("d", "s"), item("e", "s", { depends_on: ["a"], status: "done" })];
    expect(unblockedBy(items, new Set(["a"])).map((found) => found.id)).toEqual(["b"]);
  });

  it("replays a plan from the events of its runs", () => {
    const graph: GraphDocument = {
      plan: "p", name: "p", version: 1, seq: 9, progress: 1, estimate_usd: 2, actual_usd: 0.5, finish_hours: 0, critical_path: [], outside: [],
      items: [item("s", null), item("a", "s", { status: "done", run_ids: ["r"], actual_usd: 0.5 }), item("b", "s", { status: "done" })],
    };
    const event = (seq: number, type: string, data = {}) => ({ seq, type, run_id: "r", data }) as never;
    const events = [event(1, "run.created"), event(2, "model.called", { usd: 0.2 }), event(3, "approval.requested"), event(4, "approval.decided"), event(5, "model.called", { usd: 0.3 }), event(6, "run.succeeded")];
    const at = (seq: number) => replay(graph, events, seq).items.find((found) => found.id === "a")!;
    expect([0, 1, 3, 4, 6].map((seq) => at(seq).status)).toEqual(["todo", "running", "needs_you", "running", "done"]);
    expect(at(2).actual_usd).toBeCloseTo(0.2);
    expect(replay(graph, events, 0).progress).toBe(0.5);
    expect(replay(graph, events, 6).actual_usd).toBeCloseTo(0.5);
  });
});

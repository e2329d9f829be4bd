import { expect, it } from "vitest";
import { effect, type Known } from "./effect";

const known: Known = { spent: 0.5, worked: 10_000, often: null, item: null, change: null, slack: null, left: null };
const change = (before: number, after: number, keys: string[]) => ({ consequences: { finish_hours: { before, after }, unblocked: keys.map((key) => ({ key })) } }) as never;
const item = { key: "T.1", estimate_usd: 2, critical: false };

it("expects of a run what runs like it took, else what is left of the estimate, and says when it knows neither", () => {
  const often = { usd: 1.5, ms: 40_000, succeeded: 3, ended: 4 };
  expect(effect({ ...known, often, left: 10 }).cost).toEqual({ value: "$1.00 more", note: "runs like this usually cost $1.50; 30 s to go; leaves $9.00 of this month's budget" });
  expect(effect({ ...known, item }).cost.value).toBe("up to $1.50");
  expect(effect(known).cost.value).toBe("unknown");
  expect(effect(known).end).toBeNull();
});

it("tells what can start and how the end moves, and how long a no-answer is harmless", () => {
  const told = effect({ ...known, item, change: change(16, 13, ["A", "B", "C", "D"]), slack: 2 });
  expect(told.starts).toEqual({ value: "4 items", note: "can start when T.1 is done: A, B, C and 1 more" });
  expect(told.end).toEqual({ value: "3 h nearer", note: "13 h of work away then; it may wait 2 h before that moves the plan's end" });
  expect(effect({ ...known, item: { ...item, critical: true }, change: change(16, 16, []), slack: 0 }).end).toEqual({ value: "as planned", note: "16 h of work away; each hour it waits moves the plan's end by an hour" });
});

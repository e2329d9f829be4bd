import { expect, it } from "vitest";
import { match } from "../app/palette-match";
import { byDay, monthStart } from "../features/cost/days";
import { pack } from "./time-track";
import { ago, hours, oneLine, span, usd } from "./format";

it("writes money with as many places as it needs", () => {
  expect([0, 12.345, 0.0042, 1234.5, null].map(usd)).toEqual(["$0.00", "$12.35", "$0.0042", "$1,234.50", "–"]);
});

it("writes times short", () => {
  expect([340, 4_200, 42_000, 185_000, 7_800_000].map(span)).toEqual(["340 ms", "4.2 s", "42 s", "3 min 05 s", "2 h 10 min"]);
  expect([0.5, 2, 2.5, 48].map(hours)).toEqual(["30 min", "2 h", "2 h 30 min", "2.0 days"]);
  expect(ago("2026-01-01T00:00:00Z", Date.parse("2026-01-01T00:05:30Z"))).toBe("5 min ago");
});

it("cuts a value to a line", () => {
  expect(oneLine({ a: "x\n  y" })).toBe('{"a":"x\\n y"}');
  expect(oneLine("x".repeat(500), 10)).toHaveLength(10);
});

it("finds a command by letters in order, whole words first", () => {
  const commands = ["Admin and audit", "Home", "hello-team 4f", "Start the example: hello team"].map((label) => ({ label }));
  expect(match(commands, "hello")[0]?.label).toBe("hello-team 4f");
  expect(match(commands, "aud")[0]?.label).toBe("Admin and audit");
  expect(match(commands, "zz")).toEqual([]);
  expect(match(commands, " ")).toHaveLength(4);
});

it("has a value for every day of the month so far", () => {
  const now = new Date("2026-02-03T12:00:00Z");
  const days = byDay([{ day: "2026-02-02", usd: 1.5 }], monthStart(now), now);
  expect(days).toEqual([{ label: "2026-02-01", value: 0 }, { label: "2026-02-02", value: 1.5 }, { label: "2026-02-03", value: 0 }]);
});

it("puts what goes on at the same time one below the other", () => {
  expect(pack([{ start: 0, end: 9 }, { start: 1, end: 3 }, { start: 3, end: 5 }, { start: 9, end: 10 }])).toEqual([0, 1, 1, 0]);
  expect(Math.max(...pack(Array.from({ length: 50 }, () => ({ start: 0, end: 1 }))))).toBe(7);
});

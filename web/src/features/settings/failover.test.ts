import { expect, it } from "vitest";
import type { EventDocument } from "../../api/schema";
import { failovers, short } from "./failover";

let seq = 0;
const event = (type: string, model: string, path: string, more: Record<string, unknown> = {}) =>
  ({ seq: ++seq, type, run_id: "r", path, actor: "agent:a", occurred_at: "2026-01-01T00:00:00Z", correlation: "r", data: { model, agent: "a", ...more } }) as unknown as EventDocument;

it("follows a question from the model that failed to the one that answered", () => {
  const told = failovers([
    event("model.called", "x:1", "one"),
    event("model.failed", "x:1", "two", { error: { code: "unavailable", message: "overloaded" }, latency_ms: 40 }),
    event("model.failed", "x:1", "three", { error: { code: "timed_out" } }),
    event("model.failed", "y:1", "two", { error: "refused" }),
    event("model.called", "z:1", "two", { latency_ms: 300 }),
    event("model.called", "z:1", "two"),
  ]);
  expect(told.map((one) => [one.path, one.answered, one.attempts.map((attempt) => attempt.model)])).toEqual([["three", false, ["x:1"]], ["two", true, ["x:1", "y:1", "z:1"]]]);
  expect(told[1]!.attempts.map((attempt) => attempt.why)).toEqual(["overloaded", "refused", ""]);
});

it("names a script without its folder", () => {
  expect(short("scripted:/tmp/x/abc/scripted.yaml")).toBe("scripted:scripted.yaml");
  expect(short("openai:gpt-5")).toBe("openai:gpt-5");
});

import { describe, expect, it } from "vitest";
import type { EventDocument } from "../../api/schema";
import { fold, inside, topStep, total } from "./fold";
import { merge } from "./use-run-events";

let seq = 0;
const event = (type: string, path: string | null, data: Record<string, unknown> = {}): EventDocument => ({
  seq: ++seq, id: `e${seq}`, type, schema_version: 1, occurred_at: new Date(Date.UTC(2026, 0, 1, 0, 0, seq)).toISOString(), tenant: "t", project: "p",
  actor: "user:owner", correlation: null, causation: null, run_id: "run", path, data,
});
const state = (events: EventDocument[], path: string) => fold(events).spans.find((span) => span.path === path)?.state;

describe("fold", () => {
  it("makes a span of a step, and of an agent inside it", () => {
    const view = fold([
      event("step.started", "fix", { kind: "handoff" }), event("agent.turn", "fix/planner(0)", { agent: "planner" }),
      event("model.called", "fix/planner(0)", { agent: "planner", usd: 0.5, input_tokens: 10, output_tokens: 5 }),
      event("tool.failed", "fix/planner(0)", { agent: "planner", tool: "shell.run" }), event("execution.succeeded", "fix/planner(0)"),
    ]);
    expect(view.spans.map((span) => [span.path, span.agent, span.state])).toEqual([["fix", null, "running"], ["fix/planner(0)", "planner", "done"]]);
    expect(total(view.spans, "fix")).toEqual({ usd: 0.5, tokens: 15, calls: 1, tools: 1, retries: 0 });
  });

  it("ends what lies inside a step with the step, and everything with the run", () => {
    const begin = [event("step.started", "a", {}), event("step.started", "a/b", {})];
    expect(state([...begin, event("step.completed", "a")], "a/b")).toBe("done");
    expect(state([...begin, event("step.failed", "a", { error: { code: "x", message: "y" } })], "a/b")).toBe("stopped");
    expect(state([...begin, event("run.cancelled", null)], "a")).toBe("stopped");
  });

  it("shows who waits for a person although its job has ended, and that it goes on", () => {
    const waits = [event("agent.turn", "fix/coder(1)", { agent: "coder" }), event("approval.requested", "fix/coder(1)", { approval: "apr" }), event("execution.succeeded", "fix/coder(1)")];
    expect(state(waits, "fix/coder(1)")).toBe("needs");
    const goes = [...waits, event("approval.decided", "fix/coder(1)", { approval: "apr" })];
    expect(state(goes, "fix/coder(1)")).toBe("running");
    expect(state([...goes, event("execution.succeeded", "fix/coder(1)")], "fix/coder(1)")).toBe("done");
  });

  it("opens a step again that is done again", () => {
    expect(state([event("step.started", "a"), event("step.completed", "a"), event("step.started", "a")], "a")).toBe("running");
  });

  it("knows paths as the server does", () => {
    expect(inside("fix/coder(1)", "fix")).toBe(true);
    expect(inside("fix[2]", "fix")).toBe(true);
    expect(inside("fixed", "fix")).toBe(false);
    expect(inside("fix", "fix")).toBe(false);
    expect(topStep("build[2]/code")).toBe("build");
    expect(topStep("fix")).toBe("fix");
  });

  it("adds news once", () => {
    const [one, two, three] = [event("a", null), event("b", null), event("c", null)];
    const known = [one, two];
    expect(merge(known, [two, three])).toEqual([one, two, three]);
    expect(merge(known, [one])).toBe(known);
  });
});

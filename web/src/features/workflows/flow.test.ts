import { expect, it } from "vitest";
import type { OutlineStep } from "../../api/schema";
import { flow, NODE } from "./flow";
import { fieldsOf, inputsOf } from "./inputs";
import { usual } from "./usual";

function step(name: string, more: Partial<OutlineStep> = {}): OutlineStep {
  return { name, path: name, kind: "set", detail: "", description: "", agents: [], condition: null, needs: [], goto: null, parallel: false, blocks: [], ...more };
}

it("puts steps below each other and branches side by side, inside their fork", () => {
  const fork = step("views", { parallel: true, blocks: [{ label: "pro", steps: [step("pro")] }, { label: "contra", steps: [step("contra")] }] });
  const drawn = flow([fork, step("text", { goto: "views" })]);
  const at = new Map(drawn.nodes.map((node) => [node.step.name, node]));
  expect(at.get("pro")!.y).toBe(at.get("contra")!.y);
  expect(at.get("contra")!.x).toBeGreaterThanOrEqual(at.get("pro")!.x + NODE.width);
  const box = at.get("views")!;
  for (const name of ["pro", "contra"]) {
    const inner = at.get(name)!;
    expect(inner.x).toBeGreaterThan(box.x);
    expect(inner.x + inner.width).toBeLessThan(box.x + box.width);
    expect(inner.y + inner.height).toBeLessThan(box.y + box.height);
  }
  expect(at.get("text")!.y).toBeGreaterThan(box.y + box.height);
  expect(drawn.edges.map((edge) => edge.back)).toEqual([false, true]);
});

it("puts a branch that needs another below it", () => {
  const fork = step("build", { parallel: true, blocks: ["walls", "roof"].map((name) => ({ label: name, steps: [step(name, { needs: name === "roof" ? ["walls"] : [] })] })) });
  const at = new Map(flow([fork]).nodes.map((node) => [node.step.name, node]));
  expect(at.get("roof")!.y).toBeGreaterThan(at.get("walls")!.y + NODE.height);
});

it("makes inputs of a form's texts, and says what is wrong where", () => {
  const fields = fieldsOf({
    required: ["topic", "size"],
    properties: {
      topic: { type: "string", default: "Why?" }, size: { type: "integer", minimum: 1 }, deep: { type: "boolean" }, tone: { enum: ["dry", "warm"] },
      more: { type: "array" }, note: { type: "string" },
    },
  });
  expect(fields.map((field) => field.kind)).toEqual(["text", "number", "yes-no", "choice", "json", "text"]);
  expect(inputsOf(fields, { size: "3", deep: "true", tone: "warm", more: "[1]" })).toEqual({ inputs: { topic: "Why?", size: 3, deep: true, tone: "warm", more: [1] }, wrong: {} });
  expect(Object.keys(inputsOf(fields, { topic: "", size: "0.5", more: "{" }).wrong)).toEqual(["topic", "size", "more"]);
  expect(inputsOf(fields, { size: "0" }).wrong).toEqual({ size: "This must be 1 or more." });
});

it("says what a workflow usually takes by the runs that succeeded", () => {
  const run = (status: "succeeded" | "failed", usd: number, s: number) => ({
    status, cost: { usd } as never, started_at: "2026-01-01T00:00:00Z", finished_at: new Date(Date.parse("2026-01-01T00:00:00Z") + s * 1000).toISOString(),
  });
  expect(usual([run("succeeded", 1, 10), run("succeeded", 3, 30), run("failed", 9, 1)])).toEqual({ usd: 2, ms: 20_000, succeeded: 2, ended: 3 });
  expect(usual([run("failed", 1, 1)])).toBeNull();
});

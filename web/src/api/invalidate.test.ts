import { expect, it } from "vitest";
import { staleBy } from "./invalidate";

it("knows what each event makes stale", () => {
  expect(staleBy({ type: "approval.requested", run_id: "r" })).toContainEqual(["asks"]);
  expect(staleBy({ type: "run.succeeded", run_id: "r" })).toContainEqual(["artifacts", "r"]);
  expect(staleBy({ type: "model.called", run_id: "r" })).toEqual([["cost"], ["runs", "r"]]);
  expect(staleBy({ type: "model.called", run_id: null })).toEqual([["cost"]]);
  expect(staleBy({ type: "plan.changed", run_id: null })).toEqual([["plans"]]);
  expect(staleBy({ type: "tool.called", run_id: "r" })).toEqual([]);
});

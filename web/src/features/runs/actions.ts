import { api, explain } from "../../api/client";
import { client } from "../../api/queries";
import type { ApprovalDocument, ApprovalPage, Approve, RunDocument } from "../../api/schema";
import { say } from "../../ui/toast";

/** Starts an example; says so when that fails. */
export async function startExample(name: string): Promise<RunDocument | null> {
  return attempt(async () => {
    const run = await api<RunDocument>(`/examples/${name}/runs`, { method: "POST", body: {} });
    void client.invalidateQueries({ queryKey: ["runs"] });
    return run;
  });
}

export async function cancelRun(id: string): Promise<RunDocument | null> {
  return attempt(async () => {
    const run = await api<RunDocument>(`/runs/${id}/cancel`, { method: "POST" });
    client.setQueryData(["runs", id], run);
    say("Cancelled.");
    return run;
  });
}

/** Starts a run that keeps what was done before a step. */
export async function rerunFrom(id: string, step: string): Promise<RunDocument | null> {
  return attempt(() => api<RunDocument>(`/runs/${id}/fork`, { method: "POST", body: { from_step: step } }));
}

/** Answers an ask: it leaves the inbox at once, and comes back when the server says no. */
export async function decide(ask: ApprovalDocument, yes: boolean, body: Approve): Promise<ApprovalDocument | null> {
  const before = client.getQueryData<ApprovalPage>(["asks"]);
  await client.cancelQueries({ queryKey: ["asks"], exact: true });
  if (before) client.setQueryData<ApprovalPage>(["asks"], { ...before, items: before.items.filter((item) => item.id !== ask.id) });
  try {
    const decided = await api<ApprovalDocument>(`/approvals/${ask.id}/${yes ? "approve" : "reject"}`, { method: "POST", body });
    say(decided.status === "pending" ? "Your answer is noted; more people must answer." : `${yes ? "Approved" : "Rejected"}: ${ask.title}`);
    return decided;
  } catch (error) {
    if (before) client.setQueryData(["asks"], before);
    say(explain(error));
    return null;
  } finally {
    void client.invalidateQueries({ queryKey: ["asks"] });
    void client.invalidateQueries({ queryKey: ["runs", ask.run_id], exact: true });
  }
}

async function attempt<T>(act: () => Promise<T>): Promise<T | null> {
  try {
    return await act();
  } catch (error) {
    say(explain(error));
    return null;
  }
}

import { useQuery } from "@tanstack/react-query";
import { api } from "../../api/client";
import type { ChangeDocument, GraphDocument } from "../../api/plans";
import { budgets, run as runQuery, workflow as workflowQuery } from "../../api/queries";
import type { ApprovalDocument, ItemDocument } from "../../api/schema";
import { usual } from "../workflows/usual";
import { effect, type Figure } from "./effect";

/** What follows from a yes, in figures, before it is given: cost, what can begin, the plan's end. */
export function EffectFigures({ ask, graph }: { ask: ApprovalDocument; graph: GraphDocument | undefined }) {
  const run = useQuery(runQuery(ask.run_id)).data;
  const flow = useQuery({ ...workflowQuery(run?.workflow ?? ""), enabled: Boolean(run) }).data;
  const item = graph?.items.find((one) => one.run_ids.includes(ask.run_id)) ?? null;
  const change = useQuery({
    queryKey: ["plans", graph?.plan, "effect", item?.id, graph?.version, graph?.seq],
    queryFn: ({ signal }) => api<ChangeDocument>(`/plans/${graph!.plan}/changes?dry_run=true`, { method: "POST", body: { operations: [{ op: "update", item: item!.id, set: { status: "done" } }] }, signal }),
    enabled: Boolean(item),
    retry: false,
  }).data;
  const detail = useQuery({
    queryKey: ["plans", graph?.plan, "item", item?.id],
    queryFn: ({ signal }) => api<ItemDocument>(`/plans/${graph!.plan}/items/${item!.id}`, { signal }),
    enabled: Boolean(item),
  }).data;
  const month = useQuery(budgets).data?.items.find((one) => one.scope === "tenant" && one.period === "month");
  if (ask.status !== "pending" || !run) return null;
  const worked = Date.parse(ask.requested_at) - Date.parse(run.started_at ?? run.created_at);
  const known = effect({
    spent: run.cost.usd, worked, often: flow ? usual(flow.runs) : null, item, change: change ?? null, slack: detail?.slack_hours ?? null, left: month?.left_usd ?? null,
  });
  return (
    <dl className="effect" aria-label="What a yes is expected to mean">
      <One label="Cost" figure={known.cost} />
      {known.starts && <One label="Can start" figure={known.starts} />}
      {known.end && <One label="Plan's end" figure={known.end} />}
    </dl>
  );
}

function One({ label, figure }: { label: string; figure: Figure }) {
  return <div><dt className="muted small">{label}</dt><dd><b>{figure.value}</b><span className="muted small">{figure.note}</span></dd></div>;
}

import { QueryClient, queryOptions } from "@tanstack/react-query";
import { api, Problem, query } from "./client";
import type { GraphDocument, PlanPage } from "./plans";
import type {
  AgentPage, ApprovalDocument, ApprovalPage, ArtifactPage, BudgetPage, EventDocument, ExamplePage, ForecastDocument,
  ModelPage, ProviderPage, RoutePage, RunDocument, RunPage, SessionDocument, SystemDocument, UsagePage, WorkflowOutline, WorkflowRows,
} from "./schema";

export const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      refetchOnWindowFocus: false,
      retry: (count, error) => !(error instanceof Problem && error.status >= 400 && error.status < 500) && count < 2,
    },
  },
});

const one = <T>(key: readonly unknown[], path: string) =>
  queryOptions({ queryKey: key, queryFn: ({ signal }) => api<T>(path, { signal }) });

export const session = one<SessionDocument>(["session"], "/session");
export const examples = one<ExamplePage>(["examples"], "/examples");
export const runs = one<RunPage>(["runs"], "/runs?limit=50");
export const run = (id: string) => one<RunDocument>(["runs", id], `/runs/${encodeURIComponent(id)}`);
export const artifacts = (id: string) => one<ArtifactPage>(["artifacts", id], `/runs/${encodeURIComponent(id)}/artifacts`);
export const asks = one<ApprovalPage>(["asks"], "/approvals?status=pending");
export const ask = (id: string) => one<ApprovalDocument>(["asks", id], `/approvals/${encodeURIComponent(id)}`);
export const answered = one<ApprovalPage>(["asks", "answered"], "/approvals");
export const agents = one<AgentPage>(["agents"], "/agents");
export const system = one<SystemDocument>(["system"], "/system");
export const providers = one<ProviderPage>(["providers"], "/providers");
export const routes = one<RoutePage>(["routes"], "/routes");
export const models = one<ModelPage>(["models"], "/models");
export const budgets = one<BudgetPage>(["cost", "budgets"], "/budgets");
export const forecast = one<ForecastDocument>(["cost", "forecast"], "/cost/forecast?period=month");
export const usage = (by: string[], since?: string, where?: string[]) =>
  one<UsagePage>(["cost", "usage", by, since ?? null, where ?? null], query("/cost/usage", { by, since, where }));
export const workflows = one<WorkflowRows>(["workflows"], "/board/workflows");
export const workflow = (name: string) => one<WorkflowOutline>(["workflows", name], `/board/workflows/${encodeURIComponent(name)}`);
export const plans = one<PlanPage>(["plans"], "/plans?limit=50");
export const graph = (id: string) => one<GraphDocument>(["plans", id, "graph"], `/plans/${encodeURIComponent(id)}/graph`);

/** Every event of a run so far, in order. */
export async function runEvents(id: string, signal?: AbortSignal): Promise<EventDocument[]> {
  const found: EventDocument[] = [];
  for (let after = 0; ; ) {
    const page = await api<{ items: EventDocument[]; after: number }>(
      query(`/runs/${encodeURIComponent(id)}/events`, { after, limit: 500 }),
      signal ? { signal } : {},
    );
    found.push(...page.items);
    if (page.items.length < 500) return found;
    after = page.after;
  }
}

import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { Empty, Trouble } from "../ui/empty";
import { Shell } from "./shell";

const root = createRootRoute({
  component: Shell,
  notFoundComponent: () => <Empty action={<a className="button" href="/">Home</a>}>There is no such page.</Empty>,
  errorComponent: ({ error, reset }) => <div className="tile"><Trouble error={error} retry={reset} /></div>,
});

const text = (value: unknown): string | undefined => (typeof value === "string" && value ? value : undefined);
const number = (value: unknown): number | undefined => (Number.isFinite(Number(value)) && value !== "" && value != null ? Number(value) : undefined);

const home = createRoute({ getParentRoute: () => root, path: "/", component: lazyRouteComponent(() => import("../features/home/home"), "Home") });
const plan = createRoute({
  getParentRoute: () => root,
  path: "/plans/$planId",
  validateSearch: (search: Record<string, unknown>) => ({ item: text(search.item), lens: text(search.lens), at: number(search.at) }),
  component: lazyRouteComponent(() => import("../features/board/board"), "Board"),
});
const runList = createRoute({ getParentRoute: () => root, path: "/runs", component: lazyRouteComponent(() => import("../features/runs/list"), "RunList") });
const run = createRoute({
  getParentRoute: () => root,
  path: "/runs/$runId",
  validateSearch: (search: Record<string, unknown>): { step: string | undefined; view?: string } => ({ step: text(search.step), ...(text(search.view) ? { view: text(search.view)! } : {}) }),
  component: lazyRouteComponent(() => import("../features/runs/run"), "RunScreen"),
});
const workflowList = createRoute({ getParentRoute: () => root, path: "/workflows", component: lazyRouteComponent(() => import("../features/workflows/workflows"), "Workflows") });
const workflow = createRoute({ getParentRoute: () => root, path: "/workflows/$name", component: lazyRouteComponent(() => import("../features/workflows/workflows"), "WorkflowScreen") });
const inbox = createRoute({
  getParentRoute: () => root,
  path: "/inbox",
  validateSearch: (search: Record<string, unknown>) => ({ ask: text(search.ask), show: text(search.show) }),
  component: lazyRouteComponent(() => import("../features/inbox/inbox"), "Inbox"),
});
const agents = createRoute({ getParentRoute: () => root, path: "/agents", component: lazyRouteComponent(() => import("../features/agents/agents"), "Agents") });
const cost = createRoute({
  getParentRoute: () => root,
  path: "/cost",
  validateSearch: (search: Record<string, unknown>) => ({ by: text(search.by) }),
  component: lazyRouteComponent(() => import("../features/cost/cost"), "Cost"),
});
const report = createRoute({ getParentRoute: () => root, path: "/report", component: lazyRouteComponent(() => import("../features/cost/report"), "Report") });
const settings = createRoute({ getParentRoute: () => root, path: "/settings", beforeLoad: () => { throw redirect({ to: "/settings/providers", search: { name: undefined } }); } });
const providers = createRoute({
  getParentRoute: () => root,
  path: "/settings/providers",
  validateSearch: (search: Record<string, unknown>) => ({ name: text(search.name) }),
  component: lazyRouteComponent(() => import("../features/settings/providers"), "Providers"),
});
const admin = createRoute({
  getParentRoute: () => root,
  path: "/settings/admin",
  validateSearch: (search: Record<string, unknown>): { types: string | undefined; actor?: string } => ({ types: text(search.types), ...(text(search.actor) ? { actor: text(search.actor)! } : {}) }),
  component: lazyRouteComponent(() => import("../features/settings/admin"), "Admin"),
});

export const router = createRouter({
  routeTree: root.addChildren([home, plan, runList, run, workflowList, workflow, inbox, agents, cost, report, settings, providers, admin]),
  defaultPreload: "intent",
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

import type { EventDocument } from "../../api/schema";
import type { State } from "../../ui/status";

/** Something of a run that took time: a step, or an agent's work inside one. */
export interface Span {
  path: string;
  kind: string;
  agent: string | null;
  state: State;
  /** Milliseconds since the epoch. */
  start: number;
  /** Null while it goes on. */
  end: number | null;
  /** Its own; what lies inside is not counted. */
  usd: number;
  tokens: number;
  calls: number;
  tools: number;
  retries: number;
  error: string | null;
  events: EventDocument[];
}

export interface RunView {
  spans: Span[];
  /** The commit that came out, when one did. */
  commit: Record<string, unknown> | null;
  last: number;
}

const ENDS: Record<string, State> = {
  "step.completed": "done", "step.failed": "failed", "step.skipped": "stopped", "step.cancelled": "stopped",
  "execution.succeeded": "done", "execution.failed": "failed", "execution.cancelled": "stopped", "execution.dead": "failed",
};
const RUN_ENDS: Record<string, State> = { "run.succeeded": "done", "run.failed": "failed", "run.cancelled": "stopped" };

/** Whether a path lies inside a step; the same rule as the server's. */
export function inside(path: string, step: string): boolean {
  return path.startsWith(step) && "/[(".includes(path.charAt(step.length) || " ");
}

/** The step of a run's own definition that a path belongs to: what a run can be started again from. */
export function topStep(path: string): string {
  return path.split(/[/[(]/, 1)[0] ?? path;
}

/** What a run is made of, from its events in order. */
export function fold(events: EventDocument[]): RunView {
  const spans = new Map<string, Span>();
  const asked = new Map<string, string>();
  let commit: Record<string, unknown> | null = null;
  let last = 0;
  for (const event of events) {
    const at = Date.parse(event.occurred_at);
    last = Math.max(last, at);
    if (event.type === "run.committed") commit = event.data;
    if (RUN_ENDS[event.type]) for (const span of spans.values()) close(span, RUN_ENDS[event.type]!, at);
    if (!event.path) continue;
    const span = spanOf(spans, event, at);
    if (!span) continue;
    span.events.push(event);
    count(span, event);
    const end = ENDS[event.type];
    const parked = event.type.startsWith("execution.") && [...asked.values()].includes(span.path);
    if (end && !parked) {
      if (event.type.startsWith("step.")) for (const other of spans.values()) if (inside(other.path, span.path)) close(other, end === "done" ? "done" : "stopped", at);
      close(span, end, at);
    } else if (event.type === "approval.requested") {
      asked.set(String(event.data.approval), span.path);
      span.state = "needs";
    } else if (event.type === "approval.decided" || event.type === "approval.expired") {
      asked.delete(String(event.data.approval));
      if (![...asked.values()].includes(span.path) && span.state === "needs") span.state = "running";
    }
  }
  return { spans: [...spans.values()], commit, last };
}

function spanOf(spans: Map<string, Span>, event: EventDocument, at: number): Span | null {
  const path = event.path!;
  const known = spans.get(path);
  const agent = typeof event.data.agent === "string" ? event.data.agent : null;
  if (known) {
    known.agent ??= agent;
    if (event.type === "step.started" && known.end !== null) Object.assign(known, { end: null, state: "running" });
    return known;
  }
  if (event.type !== "step.started" && event.type !== "step.skipped" && agent === null && !event.type.startsWith("approval.")) return null;
  const span: Span = {
    path, kind: String(event.data.kind ?? (agent ? "agent" : "step")), agent, state: "running", start: at, end: null,
    usd: 0, tokens: 0, calls: 0, tools: 0, retries: 0, error: null, events: [],
  };
  spans.set(path, span);
  return span;
}

function count(span: Span, event: EventDocument): void {
  const data = event.data;
  if (event.type === "model.called") {
    span.calls += 1;
    span.usd += Number(data.usd ?? 0);
    span.tokens += Number(data.input_tokens ?? 0) + Number(data.output_tokens ?? 0);
  } else if (event.type === "tool.called" || event.type === "tool.failed") span.tools += 1;
  else if (event.type === "retry" || event.type === "step.retrying") span.retries += 1;
  else if (event.type === "step.failed") {
    const error = data.error as { code?: string; message?: string } | undefined;
    span.error = [error?.code, error?.message].filter(Boolean).join(": ");
  }
}

function close(span: Span, state: State, at: number): void {
  if (span.end !== null) return;
  span.end = at;
  span.state = state;
}

/** What a step and everything in it cost. */
export function total(spans: Span[], path: string): { usd: number; tokens: number; calls: number; tools: number; retries: number } {
  const sum = { usd: 0, tokens: 0, calls: 0, tools: 0, retries: 0 };
  for (const span of spans) {
    if (span.path !== path && !inside(span.path, path)) continue;
    for (const key of ["usd", "tokens", "calls", "tools", "retries"] as const) sum[key] += span[key];
  }
  return sum;
}

/** How each step of the definition stands: by the last time it ran, and needing a person where something inside it does. */
export function stepStates(events: EventDocument[], view: RunView): Map<string, State> {
  const byPath = new Map(view.spans.map((span) => [span.path, span.state]));
  const found = new Map<string, State>();
  for (const event of events) {
    if (!event.type.startsWith("step.") || !event.path || typeof event.data.step !== "string") continue;
    found.set(event.data.step, byPath.get(event.path) ?? "done");
  }
  for (const span of view.spans) {
    if (span.state !== "needs") continue;
    for (const step of found.keys()) if (span.path === step || inside(span.path, step)) found.set(step, "needs");
  }
  return found;
}

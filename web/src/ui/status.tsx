import type { ReactNode } from "react";

/** How something stands, whatever it is: one word, one shape, one colour. */
export type State = "todo" | "queued" | "running" | "needs" | "done" | "failed" | "stopped";

const STATES: Record<string, State> = {
  todo: "todo", ready: "todo", queued: "queued", blocked: "stopped", running: "running", waiting: "needs", needs_you: "needs",
  pending: "needs", succeeded: "done", done: "done", approved: "done", failed: "failed", rejected: "failed",
  cancelled: "stopped", expired: "stopped", skipped: "stopped", online: "done", busy: "running", offline: "stopped",
  error: "failed", ready_provider: "done", unconfigured: "todo", unreachable: "failed", refused: "failed", broken: "failed",
};
const WORDS: Record<string, string> = { waiting: "needs you", needs_you: "needs you", pending: "needs you" };

export function stateOf(status: string): State {
  return STATES[status] ?? "todo";
}

export function wordOf(status: string): string {
  return WORDS[status] ?? status;
}

/** The shape of a state, 12 by 12: it can be told without its colour. */
export function Shape({ state, size = 12 }: { state: State; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 12 12" aria-hidden="true" className={`shape shape-${state}`} style={{ flex: "none" }}>
      {SHAPES[state]}
    </svg>
  );
}

const SHAPES: Record<State, ReactNode> = {
  todo: <rect x="1" y="1" width="10" height="10" rx="1" fill="none" stroke="var(--todo)" strokeWidth="2" />,
  queued: <rect x="0" y="0" width="12" height="12" rx="1" fill="var(--queued)" />,
  running: (
    <>
      <rect x="1" y="1" width="10" height="10" rx="1" fill="none" stroke="var(--lapis-fill)" strokeWidth="2" />
      <rect x="0" y="0" width="6" height="12" fill="var(--lapis-fill)" />
    </>
  ),
  needs: <path d="M0 0h7l5 5v7H0z" fill="var(--needs)" />,
  done: <rect x="0" y="0" width="12" height="12" rx="1" fill="var(--done)" />,
  failed: (
    <>
      <rect x="0" y="0" width="12" height="12" rx="1" fill="var(--failed)" />
      <path d="M0 9 9 0M3 12 12 3" stroke="var(--tile)" strokeWidth="1.6" />
    </>
  ),
  stopped: (
    <>
      <rect x="1" y="1" width="10" height="10" rx="1" fill="none" stroke="var(--todo)" strokeWidth="2" />
      <path d="M2 10 10 2" stroke="var(--todo)" strokeWidth="2" />
    </>
  ),
};

/** A status in words with its shape. */
export function Status({ status }: { status: string }) {
  return (
    <span className="row" style={{ gap: 6, flex: "none" }}>
      <Shape state={stateOf(status)} />
      {wordOf(status)}
    </span>
  );
}

import type { EventDocument } from "../../api/schema";

/** A model that was asked, and how that went. */
export interface Attempt {
  model: string;
  ok: boolean;
  /** Why not, in words; empty for an answer. */
  why: string;
  ms: number | null;
}

/** One question to models, from the first that failed to the one that answered. */
export interface Failover {
  seq: number;
  at: string;
  run: string | null;
  path: string;
  agent: string;
  attempts: Attempt[];
  answered: boolean;
}

/** The questions that at least one model failed, newest first, from model events in order. */
export function failovers(events: EventDocument[]): Failover[] {
  const open = new Map<string, Failover>();
  const found: Failover[] = [];
  for (const event of events) {
    if (event.type !== "model.called" && event.type !== "model.failed") continue;
    const place = `${event.run_id ?? event.correlation} ${event.path ?? ""} ${event.data.agent ?? event.actor}`;
    const ok = event.type === "model.called";
    const attempt = { model: short(String(event.data.model ?? "?")), ok, why: ok ? "" : why(event.data), ms: event.data.latency_ms == null ? null : Number(event.data.latency_ms) };
    const known = open.get(place);
    if (known) known.attempts.push(attempt);
    else if (!ok) {
      const made = { seq: event.seq, at: event.occurred_at, run: event.run_id, path: event.path ?? "", agent: String(event.data.agent ?? event.actor), attempts: [attempt], answered: false };
      open.set(place, made);
      found.push(made);
    }
    if (ok && known) {
      known.answered = true;
      open.delete(place);
    }
  }
  return found.reverse();
}

function why(data: Record<string, unknown>): string {
  const error = data.error as { code?: string; message?: string } | string | undefined;
  if (typeof error === "string") return error;
  return error?.message ?? error?.code ?? String(data.outcome ?? "it failed");
}

/** A model without the folder of a script. */
export function short(model: string): string {
  return model.startsWith("scripted:") ? `scripted:${model.split("/").pop()!.replace(/^scripted:/, "")}` : model;
}

import type { EventDocument } from "../../api/schema";
import { oneLine, usd } from "../../ui/format";

export type Tone = "said" | "quiet" | "bad" | "asks" | "plain";

/** An event as a line of the log. */
export interface Line {
  seq: number;
  at: string;
  who: string;
  text: string;
  tone: Tone;
  path: string;
  run: string;
}

type Tell = (data: Record<string, unknown>, event: EventDocument) => [text: string, tone?: Tone] | null;

const name = (event: EventDocument) => event.path?.split("/").pop() ?? "";
const message = (value: unknown) => (typeof value === "object" && value ? String((value as { message?: string }).message ?? "") : String(value ?? ""));
const tool: Tell = (data) => [`${data.tool} ${oneLine(data.arguments, 160)}`, "plain"];
const ended: Tell = (data) => [`${data.status ?? "expired"}${data.by ? ` by ${data.by}` : ""}${data.note ? `: ${data.note}` : ""}`, "asks"];

const TELL: Record<string, Tell> = {
  "run.created": (data) => [`starts ${data.workflow}`, "quiet"],
  "run.resumed": () => ["goes on", "quiet"],
  "run.workspace": (data) => [`works on branch ${data.branch}`, "quiet"],
  "run.committed": (data) => [`commit ${String(data.sha).slice(0, 10)} on ${data.branch}: +${data.insertions ?? 0} -${data.deletions ?? 0}`],
  "run.succeeded": () => ["the run is done", "said"],
  "run.failed": (data) => [`the run failed: ${message(data.error)}`, "bad"],
  "run.cancelled": () => ["the run was cancelled", "bad"],
  "step.started": (data, event) => [`${name(event)} begins (${data.kind})`, "quiet"],
  "step.completed": (data, event) => [`${name(event)} done${data.duration_ms != null ? ` in ${(Number(data.duration_ms) / 1000).toFixed(1)} s` : ""}`, "quiet"],
  "step.failed": (data, event) => [`${name(event)} failed: ${message(data.error)}`, "bad"],
  "step.skipped": (data, event) => [`${name(event)} skipped: ${data.reason ?? ""}`, "quiet"],
  "step.retrying": (data) => [`tries again: ${message(data.error ?? data.reason)}`, "bad"],
  retry: (data) => [`tries again: ${message(data.error ?? data.reason)}`, "bad"],
  "agent.message": (data) => (data.text ? [String(data.text), "said"] : null),
  "handoff.made": (data) => [`hands over to ${data.to}: ${oneLine(data.task, 200)}`, "plain"],
  "model.called": (data) => [`${data.input_tokens ?? "?"} → ${data.output_tokens ?? "?"} tokens, ${usd(data.usd as number | null)}${data.scripted ? " (scripted)" : ""}`, "quiet"],
  "model.failed": (data) => [`the model failed: ${message(data.error)}`, "bad"],
  "tool.called": tool,
  "tool.failed": (data) => [`${data.tool} ${oneLine(data.arguments, 100)} failed: ${outcome(data)}`, "bad"],
  "tool.denied": (data) => [`${data.tool} was refused: ${data.reason ?? ""}`, "bad"],
  "tool.rejected": (data) => [`${data.tool} was not approved${data.note ? `: ${data.note}` : ""}`, "bad"],
  "approval.requested": (data) => [String(data.title ?? "asks"), "asks"],
  "approval.decided": ended,
  "approval.expired": ended,
  "artifact.stored": (data) => [`keeps ${data.name} (${data.size_bytes} bytes)`, "quiet"],
  "vote.cast": (data) => [`votes ${oneLine(data.vote ?? data.value, 120)}`],
  "budget.extended": (data) => [`the budget was raised by ${usd(data.usd as number)}`, "asks"],
};

function outcome(data: Record<string, unknown>): string {
  if (data.error) return message(data.error);
  const result = data.result as { exit_code?: number; stdout?: string; stderr?: string } | undefined;
  if (result?.exit_code === undefined) return oneLine(result ?? "", 160);
  const said = (result.stderr || result.stdout || "").trim().split("\n").pop() ?? "";
  return `exit code ${result.exit_code}${said ? `: ${oneLine(said, 160)}` : ""}`;
}

/** The line of an event; null for what a person does not need to see. */
export function lineOf(event: EventDocument): Line | null {
  const told = TELL[event.type]?.(event.data, event);
  if (!told) return null;
  const agent = event.data.agent ?? (event.type === "handoff.made" ? event.data.from : undefined) ?? (event.actor.startsWith("agent:") ? event.actor.slice(6) : null);
  return {
    seq: event.seq, at: event.occurred_at, who: String(agent ?? (event.type.startsWith("run.") ? "run" : name(event) || "run")),
    text: told[0], tone: told[1] ?? "plain", path: event.path ?? "", run: event.run_id ?? "",
  };
}

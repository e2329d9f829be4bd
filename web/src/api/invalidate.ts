import type { QueryKey } from "@tanstack/react-query";
import { listen } from "./live";
import { client } from "./queries";
import type { EventDocument } from "./schema";

/** The queries that an event makes stale. */
export function staleBy(event: Pick<EventDocument, "type" | "run_id">): QueryKey[] {
  const [noun] = event.type.split(".");
  const keys: QueryKey[] = [];
  if (noun === "run" || noun === "approval" || event.type === "budget.extended") {
    keys.push(["runs"]);
    if (event.type === "run.created" || event.type === "run.succeeded") keys.push(["workflows"]);
    if (event.run_id) keys.push(["artifacts", event.run_id]);
  }
  if (noun === "approval") keys.push(["asks"], ["plans"]);
  if (noun === "plan" || noun === "item" || noun === "run") keys.push(["plans"]);
  if (noun === "run" || noun === "agent") keys.push(["agents"]);
  if (event.type === "model.called") {
    keys.push(["cost"]);
    if (event.run_id) keys.push(["runs", event.run_id]);
  }
  if (noun === "budget" || noun === "price") keys.push(["cost"]);
  if (noun === "provider" || noun === "route") keys.push(["providers"], ["routes"]);
  return keys;
}

const PAUSE_MS = 250;

/** Keeps what is shown true: what events made stale is asked for again, at most four times a second. */
export function keepFresh(): () => void {
  let waiting = new Map<string, QueryKey>();
  let timer: ReturnType<typeof setTimeout> | null = null;
  const flush = () => {
    timer = null;
    const keys = waiting;
    waiting = new Map();
    for (const key of keys.values()) void client.invalidateQueries({ queryKey: key, exact: key[0] === "runs" && key.length > 1 });
  };
  return listen((events) => {
    for (const event of events) for (const key of staleBy(event)) waiting.set(JSON.stringify(key), key);
    if (waiting.size) timer ??= setTimeout(flush, PAUSE_MS);
  });
}

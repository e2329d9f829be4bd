import { useEffect, useRef, useSyncExternalStore } from "react";
import { api, query } from "./client";
import { Feed, type FeedMessage, type FeedState } from "./feed";
import type { EventDocument } from "./schema";

const listeners = new Set<(events: EventDocument[]) => void>();
const watchers = new Set<() => void>();
let state: FeedState = "connecting";
let recent: EventDocument[] = [];
let retryNow = () => {};
let started = false;
let lastSeq = 0;

function take(message: FeedMessage): void {
  const events = (message.events ?? []).filter((event) => event.seq > lastSeq);
  if (events.length) {
    lastSeq = events[events.length - 1]!.seq;
    recent = [...recent, ...events].slice(-1_000);
    for (const listener of listeners) listener(events);
  }
  if (message.state && message.state !== state) state = message.state;
  if (message.state || events.length) for (const watcher of watchers) watcher();
}

/** Opens the stream, once. Tabs share it through a worker where the browser has such workers. */
export function startLive(): void {
  if (started) {
    retryNow();
    return;
  }
  started = true;
  if (typeof SharedWorker === "undefined") {
    const feed = new Feed(take);
    retryNow = () => feed.retry();
    void feed.run();
  } else {
    const worker = new SharedWorker(new URL("./feed-worker.ts", import.meta.url), { type: "module", name: "mosaic" });
    worker.port.onmessage = (message: MessageEvent<FeedMessage>) => take(message.data);
    retryNow = () => worker.port.postMessage("retry");
    window.addEventListener("pagehide", () => worker.port.postMessage("close"));
    worker.port.start();
    retryNow();
  }
  window.addEventListener("online", () => retryNow());
  void lookBack();
}

const LOOKED_BACK = 200;

/** What happened just before this tab was opened, so that nobody looks at an empty log. */
async function lookBack(): Promise<void> {
  try {
    const { head } = await api<{ head: number }>("/journal");
    const page = await api<{ items: EventDocument[] }>(query("/events", { after: Math.max(head - LOOKED_BACK, 0), limit: LOOKED_BACK }));
    const first = recent[0]?.seq ?? Number.POSITIVE_INFINITY;
    recent = [...page.items.filter((event) => event.seq < first && event.seq <= head), ...recent].slice(-1_000);
    for (const watcher of watchers) watcher();
  } catch {
    // The log begins empty then; the stream says whether the server answers.
  }
}

function watch(act: () => void): () => void {
  watchers.add(act);
  return () => watchers.delete(act);
}

/** Whether events arrive. */
export function useLiveState(): FeedState {
  return useSyncExternalStore(watch, () => state);
}

/** The last events of everything, oldest first. */
export function useRecent(): EventDocument[] {
  return useSyncExternalStore(watch, () => recent);
}

/** Calls `act` with new events for as long as the component lives. */
export function useEvents(act: (events: EventDocument[]) => void): void {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    const listener = (events: EventDocument[]) => latest.current(events);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
}

/** Listens outside of components; returns what ends it. */
export function listen(act: (events: EventDocument[]) => void): () => void {
  listeners.add(act);
  return () => void listeners.delete(act);
}

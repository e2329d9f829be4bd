import type { EventDocument } from "./schema";
import { SseParser } from "./sse";

export type FeedState = "connecting" | "live" | "offline" | "signed-out";

export interface FeedMessage {
  state?: FeedState;
  events?: EventDocument[];
}

const LONGEST_PAUSE_MS = 10_000;
const KEPT = 1_000;
/** The server says something at least every 15 s; a stream that says nothing for longer is dead. */
const SILENCE_MS = 40_000;

/**
 * The one stream of a browser: a cursor over the journal. It begins at the journal's end, comes back by itself after
 * a failure, and goes on after the last event it has seen, so that every event is delivered once and in order.
 */
export class Feed {
  #cursor: number | null = null;
  #recent: EventDocument[] = [];
  #state: FeedState = "connecting";
  #stopped = false;
  #wake: (() => void) | null = null;

  constructor(readonly tell: (message: FeedMessage) => void) {}

  /** What somebody who comes later has to know. */
  get snapshot(): FeedMessage {
    return { state: this.#state, events: this.#recent };
  }

  /** Runs until `stop`. */
  async run(): Promise<void> {
    let pause = 250;
    while (!this.#stopped) {
      try {
        await this.#read(() => (pause = 250));
      } catch (error) {
        this.#become(error instanceof Unauthorized ? "signed-out" : "offline");
      }
      if (this.#stopped) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, pause);
      });
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }

  /** Tries again at once: somebody has signed in, or the network is back. */
  retry(): void {
    if (this.#state !== "live") this.#wake?.();
  }

  stop(): void {
    this.#stopped = true;
    this.#wake?.();
  }

  async #read(began: () => void): Promise<void> {
    this.#cursor ??= ((await get("/api/v1/journal").then((answer) => answer.json())) as { head: number }).head;
    const abort = new AbortController();
    let silence = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const answer = await get(`/api/v1/events/stream?after=${this.#cursor}`, abort.signal);
      this.#become("live");
      began();
      const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
      const parser = new SseParser();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(() => abort.abort(), SILENCE_MS);
        const events = parser.push(value).map((message) => JSON.parse(message.data) as EventDocument);
        if (events.length) this.#deliver(events);
      }
    } finally {
      clearTimeout(silence);
      abort.abort();
    }
  }

  #deliver(events: EventDocument[]): void {
    this.#cursor = events[events.length - 1]!.seq;
    this.#recent = [...this.#recent, ...events].slice(-KEPT);
    this.tell({ events });
  }

  #become(state: FeedState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.tell({ state });
  }
}

class Unauthorized extends Error {}

async function get(path: string, signal?: AbortSignal): Promise<Response> {
  const answer = await fetch(path, { signal: signal ?? null, credentials: "same-origin", cache: "no-store" });
  if (answer.status === 401) throw new Unauthorized();
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
}

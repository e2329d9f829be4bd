import { afterEach, describe, expect, it, vi } from "vitest";
import { Feed, type FeedMessage } from "./feed";

const frame = (seq: number) => `id: ${seq}\nevent: x\ndata: ${JSON.stringify({ seq })}\n\n`;

/** A server whose streams break after some events; it answers as ours does, from the cursor it is given. */
function serve(total: number, perStream: number): string[] {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (path: string) => {
    asked.push(path);
    if (path.endsWith("/journal")) return new Response(JSON.stringify({ head: 10 }));
    const after = Number(new URL(path, "http://x").searchParams.get("after"));
    const events = Array.from({ length: Math.max(0, Math.min(perStream, total - after)) }, (_, index) => frame(after + 1 + index));
    return new Response(`: connected\n\n${events.join("")}`);
  });
  return asked;
}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("Feed", () => {
  it("delivers every event once and in order over a hundred broken streams", async () => {
    vi.useFakeTimers();
    const asked = serve(310, 3);
    const seen: number[] = [];
    const feed = new Feed((message: FeedMessage) => seen.push(...(message.events ?? []).map((event) => event.seq)));
    void feed.run();
    while (seen.length < 300) await vi.advanceTimersByTimeAsync(300);
    feed.stop();
    expect(seen).toEqual(Array.from({ length: 300 }, (_, index) => 11 + index));
    expect(asked.length).toBeGreaterThan(100);
    expect(feed.snapshot.events?.at(-1)?.seq).toBe(310);
  });

  it("says that it is offline, and comes back", async () => {
    vi.useFakeTimers();
    const states: string[] = [];
    vi.stubGlobal("fetch", async () => Promise.reject(new TypeError("refused")));
    const feed = new Feed((message) => message.state && states.push(message.state));
    void feed.run();
    await vi.advanceTimersByTimeAsync(100);
    expect(states).toEqual(["offline"]);
    serve(12, 2);
    await vi.advanceTimersByTimeAsync(2_000);
    feed.stop();
    expect(states).toEqual(["offline", "live"]);
  });

  it("tells a session that ended from a server that is gone", async () => {
    vi.useFakeTimers();
    const states: string[] = [];
    vi.stubGlobal("fetch", async () => new Response("", { status: 401 }));
    const feed = new Feed((message) => message.state && states.push(message.state));
    void feed.run();
    await vi.advanceTimersByTimeAsync(100);
    feed.stop();
    expect(states).toEqual(["signed-out"]);
  });
});

import { describe, expect, it } from "vitest";
import { SseParser } from "./sse";

const STREAM = ': connected\nretry: 1000\n\nid: 7\nevent: run.created\ndata: {"seq":7}\n\nid: 8\ndata: a\ndata: b\n\n: keep-alive\n\n';

describe("SseParser", () => {
  it("finds the same messages wherever the stream is cut", () => {
    for (let size = 1; size <= STREAM.length; size++) {
      const parser = new SseParser();
      const found = [];
      for (let at = 0; at < STREAM.length; at += size) found.push(...parser.push(STREAM.slice(at, at + size)));
      expect(found).toEqual([{ id: "7", data: '{"seq":7}' }, { id: "8", data: "a\nb" }]);
    }
  });

  it("keeps what is not complete", () => {
    const parser = new SseParser();
    expect(parser.push("id: 1\ndata: x\n")).toEqual([]);
    expect(parser.push("\n")).toEqual([{ id: "1", data: "x" }]);
  });
});

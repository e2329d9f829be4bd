import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import type { Line } from "../features/runs/lines";
import { clock } from "./format";

/** Lines as they come, however many: only those in sight are drawn. It stays at the end until somebody scrolls up. */
export function Log({ lines, label, wrap = false, choose }: { lines: Line[]; label: string; wrap?: boolean; choose?: (line: Line) => void }) {
  const box = useRef<HTMLDivElement>(null);
  const [follows, setFollows] = useState(true);
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => box.current,
    estimateSize: () => 20,
    overscan: 12,
    getItemKey: (index) => lines[index]!.seq,
  });
  useLayoutEffect(() => {
    if (follows && lines.length) virtual.scrollToIndex(lines.length - 1, { align: "end" });
  }, [follows, lines.length, virtual]);
  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const scrolled = () => setFollows(element.scrollHeight - element.scrollTop - element.clientHeight < 30);
    element.addEventListener("scroll", scrolled, { passive: true });
    return () => element.removeEventListener("scroll", scrolled);
  }, []);
  return (
    <div className={wrap ? "log wrapped" : "log"} ref={box} role="log" aria-label={label} aria-live="off" tabIndex={0}>
      <div style={{ height: virtual.getTotalSize(), position: "relative" }}>
        {virtual.getVirtualItems().map((item) => {
          const line = lines[item.index]!;
          return (
            <div key={item.key} ref={virtual.measureElement} data-index={item.index} className={`line ${line.tone}`} style={{ transform: `translateY(${item.start}px)` }}
              {...(choose ? { onClick: () => choose(line) } : {})}>
              <time>{clock(line.at)}</time>
              <b>{line.who}</b>
              <span>{line.text}</span>
            </div>
          );
        })}
      </div>
    </div>
  );
}

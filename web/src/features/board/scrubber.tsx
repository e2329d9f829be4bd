import { useEffect, useMemo, useState } from "react";
import { clock, oneLine } from "../../ui/format";
import { lineOf } from "../runs/lines";
import type { EventDocument } from "../../api/schema";
import type { Replay } from "./use-replay";

/** Goes back in the journal and shows the plan as it was; the right end is now. */
export function Scrubber({ replay, at, choose, keys }: {
  replay: Replay; at: number | undefined; choose: (at: number | undefined) => void;
  /** The key of the item that each run works on. */
  keys: Map<string, string>;
}) {
  const { events } = replay;
  const [playing, setPlaying] = useState(false);
  const index = at === undefined ? events.length : events.findLastIndex((event) => event.seq <= at);
  useEffect(() => {
    if (!playing) return undefined;
    const timer = setTimeout(() => {
      const next = index + Math.max(1, Math.round(events.length / 200));
      if (next >= events.length) {
        setPlaying(false);
        choose(undefined);
      } else choose(events[next]!.seq);
    }, 60);
    return () => clearTimeout(timer);
  }, [choose, events, index, playing]);
  const marks = useMemo(() => marksOf(events), [events]);
  const here = events[Math.max(index, 0)];
  const line = here ? lineOf(here) : null;
  if (at === undefined && !playing) {
    return <div className="scrubber row"><button type="button" className="button" onClick={() => choose(1)}>Replay…</button><span className="muted small">goes back to the beginning of this plan's runs</span></div>;
  }
  return (
    <div className="scrubber row">
      <button type="button" className="button" disabled={!events.length} onClick={() => setPlaying(!playing)}>{playing ? "Pause" : "Play"}</button>
      <span className="moments"><svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><path d={marks.quiet} className="quiet" vectorEffect="non-scaling-stroke" /><path d={marks.asks} className="asks" vectorEffect="non-scaling-stroke" /><path d={marks.bad} className="bad" vectorEffect="non-scaling-stroke" /></svg>
      <input type="range" aria-label="Moment" min={0} max={Math.max(events.length, 1)} value={Math.max(index, 0)} aria-valuetext={events[index] ? clock(events[index].occurred_at) : "now"}
        onChange={(event) => { setPlaying(false); const next = Number(event.target.value); choose(next >= events.length ? undefined : events[next]?.seq); }} /></span>
      <span className="num small mono" style={{ flex: "none" }}>{replay.loading ? "reading…" : events[index] ? clock(events[Math.max(index, 0)]!.occurred_at) : "before"}</span>
      <span className="small clip moment-line">{here && <><b className="mono">{keys.get(here.run_id ?? "") ?? ""}</b> {line ? `${line.who}: ${oneLine(line.text, 90)}` : here.type}</>}</span>
      <button type="button" className="button" onClick={() => { setPlaying(false); choose(undefined); }}>Now</button>
    </div>
  );
}

/** Where in the order of events runs began and ended, somebody was asked, and something failed. */
function marksOf(events: EventDocument[]): { quiet: string; asks: string; bad: string } {
  const found = { quiet: "", asks: "", bad: "" };
  const width = Math.max(events.length, 1);
  events.forEach((event, index) => {
    const x = ((index / width) * 100).toFixed(2);
    if (event.type === "approval.requested") found.asks += `M${x} 0v10`;
    else if (event.type === "run.failed" || event.type === "step.failed") found.bad += `M${x} 0v10`;
    else if (event.type === "run.created" || event.type === "run.succeeded") found.quiet += `M${x} 3v7`;
  });
  return found;
}

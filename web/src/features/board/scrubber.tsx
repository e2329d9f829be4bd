import { useEffect, useState } from "react";
import { clock } from "../../ui/format";
import type { Replay } from "./use-replay";

/** Goes back in the journal and shows the plan as it was; the right end is now. */
export function Scrubber({ replay, at, choose }: { replay: Replay; at: number | undefined; choose: (at: number | undefined) => void }) {
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
  if (at === undefined && !playing) {
    return <div className="scrubber row"><button type="button" className="button" onClick={() => choose(1)}>Replay…</button><span className="muted small">goes back to the beginning of this plan's runs</span></div>;
  }
  return (
    <div className="scrubber row">
      <button type="button" className="button" disabled={!events.length} onClick={() => setPlaying(!playing)}>{playing ? "Pause" : "Play"}</button>
      <input type="range" aria-label="Moment" min={0} max={Math.max(events.length, 1)} value={Math.max(index, 0)} aria-valuetext={events[index] ? clock(events[index].occurred_at) : "now"}
        onChange={(event) => { setPlaying(false); const next = Number(event.target.value); choose(next >= events.length ? undefined : events[next]?.seq); }} />
      <span className="num small mono" style={{ flex: "none" }}>{replay.loading ? "reading…" : events[index] ? clock(events[Math.max(index, 0)]!.occurred_at) : "before"}</span>
      <button type="button" className="button" onClick={() => { setPlaying(false); choose(undefined); }}>Now</button>
    </div>
  );
}

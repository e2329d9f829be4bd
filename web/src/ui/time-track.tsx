import { span as duration } from "./format";
import type { State } from "./status";

export interface TrackSpan {
  id: string;
  label: string;
  state: State;
  start: number;
  end: number;
}

export interface Lane {
  label: string;
  spans: TrackSpan[];
}

const PITCH = 24;
const MOST_ROWS = 8;

/** The row of each span in its lane: what goes on at the same time stands one below the other. */
export function pack(spans: { start: number; end: number }[]): number[] {
  const free: number[] = [];
  const rows = new Array<number>(spans.length).fill(0);
  const order = spans.map((_, index) => index).sort((one, other) => spans[one]!.start - spans[other]!.start || spans[other]!.end - spans[one]!.end);
  for (const index of order) {
    const { start, end } = spans[index]!;
    let row = free.findIndex((until) => until <= start);
    if (row < 0) row = Math.min(free.length, MOST_ROWS - 1);
    free[row] = Math.max(free[row] ?? 0, end);
    rows[index] = row;
  }
  return rows;
}

/** Lanes over time: the waterfall of a run, the load of agents, the dates of a plan. */
export function TimeTrack({ lanes, from, to, chosen, choose, format = duration, label }: {
  lanes: Lane[]; from: number; to: number; chosen?: string | undefined; choose?: (id: string) => void;
  format?: (value: number) => string; label: string;
}) {
  const width = Math.max(to - from, 1e-6);
  const place = (value: number) => ((value - from) / width) * 100;
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  return (
    <div className="track" role="group" aria-label={label}>
      {lanes.map((lane) => {
        const rows = pack(lane.spans);
        return (
        <div className="lane" key={lane.label}>
          <div className="name clip" title={lane.label}>{lane.label}</div>
          <div className="spans" style={{ height: Math.max(...rows.map((row) => row + 1), 1) * PITCH - 6 }}>
            {lane.spans.map((item, index) => {
              const text = `${item.label}, ${format(item.end - item.start)}`;
              return (
                <button key={item.id} type="button" className={`span ${item.state}`} title={text} aria-label={`${text}, ${item.state}`}
                  aria-pressed={item.id === chosen} onClick={() => choose?.(item.id)}
                  style={{ top: rows[index]! * PITCH, left: `${place(item.start)}%`, width: `max(${(((item.end - item.start) / width) * 100).toFixed(3)}%, 4px)` }} />
              );
            })}
          </div>
        </div>
        );
      })}
      <div className="lane ticks" aria-hidden="true">
        <div className="name" />
        <div className="spans">
          {ticks.map((tick) => <span key={tick} style={{ left: `${tick * 100}%`, transform: `translateX(-${tick * 100}%)` }}>{tick ? format(width * tick) : "0"}</span>)}
        </div>
      </div>
    </div>
  );
}

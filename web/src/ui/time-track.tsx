import { span as duration } from "./format";
import type { State } from "./status";

export interface TrackSpan {
  id: string;
  label: string;
  state: State;
  start: number;
  end: number;
  /** It spans others. */
  sum?: boolean;
  /** It decides when everything ends. */
  critical?: boolean;
  /** The share of it that is done. */
  done?: number;
}

export interface Lane {
  /** Where labels are not all different. */
  id?: string;
  label: string;
  hint?: string | undefined;
  depth?: number;
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
export function TimeTrack({ lanes, from, to, chosen, choose, format = duration, tick, label, links = NONE, wide = false }: {
  lanes: Lane[]; from: number; to: number; chosen?: string | undefined; choose?: (id: string) => void;
  format?: (value: number) => string; tick?: (value: number) => string; label: string;
  /** Lines from the end of one span to the beginning of another, where each lane has one span. */
  links?: { from: string; to: string }[];
  wide?: boolean;
}) {
  const width = Math.max(to - from, 1e-6);
  const place = (value: number) => ((value - from) / width) * 100;
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  return (
    <div className={wide ? "track wide" : "track"} role="group" aria-label={label}>
      {lanes.map((lane) => {
        const rows = pack(lane.spans);
        return (
        <div className="lane" key={lane.id ?? lane.label}>
          <div className="name clip" title={lane.label} style={lane.depth ? { paddingLeft: lane.depth * 10 } : undefined}>{lane.label}{lane.hint && <span className="muted"> {lane.hint}</span>}</div>
          <div className="spans" style={{ height: Math.max(...rows.map((row) => row + 1), 1) * PITCH - 6 }}>
            {lane.spans.map((item, index) => {
              const text = `${item.label}, ${format(item.end - item.start)}`;
              return (
                <button key={item.id} type="button" className={`span ${item.state}${item.sum ? " sum" : ""}${item.critical ? " critical" : ""}`} title={text} aria-label={`${text}, ${item.state}${item.critical ? ", decides the end" : ""}`}
                  aria-pressed={item.id === chosen} onClick={() => choose?.(item.id)}
                  style={{ top: rows[index]! * PITCH, left: `${place(item.start)}%`, width: `max(${(((item.end - item.start) / width) * 100).toFixed(3)}%, 4px)` }}>
                  {item.done ? <i style={{ width: `${item.done * 100}%` }} /> : null}
                </button>
              );
            })}
          </div>
        </div>
        );
      })}
      {links.length > 0 && <Links lanes={lanes} links={links} place={place} />}
      <div className="lane ticks" aria-hidden="true">
        <div className="name" />
        <div className="spans">
          {ticks.map((at) => <span key={at} style={{ left: `${at * 100}%`, transform: `translateX(-${at * 100}%)` }}>{tick ? tick(from + width * at) : at ? format(width * at) : "0"}</span>)}
        </div>
      </div>
    </div>
  );
}

const NONE: { from: string; to: string }[] = [];

/** Drawn across all lanes, a hundred wide whatever the screen is: lines keep their thickness. */
function Links({ lanes, links, place }: { lanes: Lane[]; links: { from: string; to: string }[]; place: (value: number) => number }) {
  const at = new Map(lanes.flatMap((lane, row) => lane.spans.map((span) => [span.id, { span, y: row * PITCH + 9 }] as const)));
  const height = lanes.length * PITCH;
  let path = "";
  for (const link of links) {
    const [one, other] = [at.get(link.from), at.get(link.to)];
    if (!one || !other) continue;
    const x = place(other.span.start) + 0.25;
    path += `M${place(one.span.end).toFixed(2)} ${one.y}H${x.toFixed(2)}V${other.y > one.y ? other.y - 9 : other.y + 9}`;
  }
  if (!path) return null;
  return (
    <div className="links" aria-hidden="true">
      <svg viewBox={`0 0 100 ${height}`} preserveAspectRatio="none" style={{ height }}><path d={path} vectorEffect="non-scaling-stroke" /></svg>
    </div>
  );
}

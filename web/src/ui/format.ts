/** Dollars with as many places as they need: $12.34, $0.0042. */
export function usd(value: number | null | undefined): string {
  if (value == null) return "–";
  const small = value !== 0 && Math.abs(value) < 0.01;
  return value.toLocaleString("en-US", {
    style: "currency", currency: "USD", minimumFractionDigits: small ? 4 : 2, maximumFractionDigits: small ? 4 : 2,
  });
}

/** A count, short: 950, 12.3k, 4.5M. */
export function count(value: number): string {
  if (Math.abs(value) < 10_000) return value.toLocaleString("en-US");
  return Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

/** A span of time, short: 340 ms, 4.2 s, 3 min 05 s, 2 h 10 min. */
export function span(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const s = ms / 1_000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return `${min} min ${String(Math.floor(s % 60)).padStart(2, "0")} s`;
  return hours(min / 60);
}

/** Hours of work: 40 min, 2 h 10 min, 3.5 d of eight hours. */
export function hours(value: number | null | undefined): string {
  if (value == null) return "–";
  const min = Math.round(value * 60);
  if (min < 60) return `${min} min`;
  if (value < 24) return min % 60 ? `${Math.floor(min / 60)} h ${String(min % 60).padStart(2, "0")} min` : `${min / 60} h`;
  return `${(value / 24).toFixed(1)} days`;
}

/** How long ago, in words. */
export function ago(iso: string | null, now = Date.now()): string {
  if (!iso) return "";
  const s = Math.max(0, (now - Date.parse(iso)) / 1_000);
  if (s < 10) return "just now";
  if (s < 60) return `${Math.floor(s)} s ago`;
  if (s < 3_600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86_400) return `${Math.floor(s / 3_600)} h ago`;
  return `${Math.floor(s / 86_400)} d ago`;
}

/** The time of day, local. */
export function clock(iso: string): string {
  return new Date(iso).toLocaleTimeString("en-GB");
}

/** A value as one line of text. */
export function oneLine(value: unknown, limit = 300): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > limit ? `${line.slice(0, limit - 1)}…` : line;
}

/** An id, short enough to read. */
export function shortId(id: string): string {
  return id.length > 14 ? `${id.slice(0, 4)}…${id.slice(-5)}` : id;
}

/** A name without its kind: `agent:coder` is coder. */
export function bare(actor: string): string {
  return actor.slice(actor.indexOf(":") + 1);
}

/** The first moment of this month, UTC: the ledger's days are UTC. */
export function monthStart(now = new Date()): string {
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1)).toISOString();
}

/** A value for each day from `since` to today, days without any too. */
export function byDay(items: Record<string, unknown>[], since: string, now = new Date()): { label: string; value: number }[] {
  const spent = new Map(items.map((item) => [String(item.day).slice(0, 10), Number(item.usd ?? 0)]));
  const days: { label: string; value: number }[] = [];
  for (let day = new Date(since); day <= now; day = new Date(day.getTime() + 86_400_000)) {
    const label = day.toISOString().slice(0, 10);
    days.push({ label, value: spent.get(label) ?? 0 });
  }
  return days;
}

/** A line of values, oldest first; for a screen reader it is its label. */
export function Sparkline({ values, label, width = 120, height = 30 }: { values: number[]; label: string; width?: number; height?: number }) {
  const top = Math.max(...values, 1e-9);
  const points = values.map((value, index) => {
    const x = values.length > 1 ? (index / (values.length - 1)) * (width - 2) + 1 : width / 2;
    return `${x.toFixed(1)},${(height - 2 - (value / top) * (height - 4)).toFixed(1)}`;
  });
  return (
    <svg className="spark" width={width} height={height} role="img" aria-label={label} style={{ flex: "none" }}>
      <polyline points={points.join(" ")} fill="none" stroke="var(--lapis-fill)" strokeWidth="1.5" strokeLinejoin="round" />
    </svg>
  );
}

/** Bars by day with a line where the budget for a day would be. */
export function Bars({ items, line, format }: { items: { label: string; value: number }[]; line?: number | null; format: (value: number) => string }) {
  const top = Math.max(...items.map((item) => item.value), line ?? 0, 1e-9);
  return (
    <figure>
      <div style={{ display: "flex", alignItems: "flex-end", gap: 2, height: 140, position: "relative" }} aria-hidden="true">
        {items.map((item) => (
          <div key={item.label} title={`${item.label}: ${format(item.value)}`}
            style={{ flex: 1, minWidth: 2, height: `${Math.max((item.value / top) * 100, 1)}%`, background: item.value ? "var(--lapis-fill)" : "var(--lane)", borderRadius: 2 }} />
        ))}
        {line != null && line > 0 && (
          <div style={{ position: "absolute", left: 0, right: 0, bottom: `${(line / top) * 100}%`, borderTop: "1px dashed var(--needs)" }} title={`Budget: ${format(line)}`} />
        )}
      </div>
      <figcaption className="row small muted" style={{ justifyContent: "space-between", marginTop: 4 }}>
        <span>{items[0]?.label}</span>
        <span>{items[items.length - 1]?.label}</span>
      </figcaption>
    </figure>
  );
}

/** What was spent of an estimate or a limit. */
export function Spend({ spent, of }: { spent: number; of: number | null | undefined }) {
  const share = of ? Math.min(spent / of, 1) : 0;
  return (
    <div className="bar" aria-hidden="true">
      <i className={of && spent > of ? "over" : undefined} style={{ width: `${share * 100}%` }} />
    </div>
  );
}

/** What was spent of an estimate, with a mark where it should be by what is done: left of the mark is cheaper than planned. */
export function BudgetLine({ spent, of, progress }: { spent: number; of: number | null | undefined; progress: number }) {
  const top = Math.max(of ?? 0, spent, 1e-9);
  const due = (of ?? 0) * progress;
  return (
    <div className="budget-line" aria-hidden="true">
      <i className={spent > due * 1.05 && spent > 0 ? "over" : undefined} style={{ width: `${(spent / top) * 100}%` }} />
      {of != null && of > 0 && <b style={{ left: `${Math.min(due / top, 1) * 100}%` }} />}
    </div>
  );
}

/** How far from its estimate something is, by what is done of it, in words. */
export function pace(spent: number, of: number | null | undefined, progress: number): string {
  if (!of) return "not estimated";
  const due = of * progress;
  if (due <= 0 && spent <= 0) return "not begun";
  const by = Math.round((Math.abs(spent - due) / Math.max(due, 1e-9)) * 100);
  if (due > 0 && by <= 5) return "on budget";
  return spent > due ? (due > 0 ? `${by} % over` : "over") : `${by} % under`;
}

/** Dollars spent up to each day, the budget as a line across, and where the month is expected to end. */
export function BurnUp({ days, length, budget, expected, format }: {
  days: number[]; length: number; budget: number | null; expected: number | null; format: (value: number) => string;
}) {
  let sum = 0;
  const sums = days.map((value) => (sum += value));
  const top = Math.max(sum, budget ?? 0, expected ?? 0, 1e-9) * 1.08;
  const x = (day: number) => (day / Math.max(length, 1)) * 100;
  const y = (value: number) => 100 - (value / top) * 100;
  const line = sums.map((value, index) => `${x(index + 1).toFixed(2)},${y(value).toFixed(2)}`).join(" ");
  return (
    <figure className="burn" role="img" aria-label={`${format(sum)} spent up to day ${days.length} of ${length}${budget != null ? `, of a budget of ${format(budget)}` : ""}${expected != null ? `; the month is expected to end at ${format(expected)}` : ""}`}>
      <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
        {sums.length > 0 && <polygon className="area" points={`0,100 0,100 ${line} ${x(days.length).toFixed(2)},100`} />}
        {sums.length > 0 && <polyline className="line" points={`0,100 ${line}`} vectorEffect="non-scaling-stroke" />}
        {expected != null && sums.length > 0 && <line className="expected" x1={x(days.length)} y1={y(sum)} x2="100" y2={y(expected)} vectorEffect="non-scaling-stroke" />}
        {budget != null && <line className="limit" x1="0" y1={y(budget)} x2="100" y2={y(budget)} vectorEffect="non-scaling-stroke" />}
      </svg>
      {budget != null && <span className="limit-name small" style={{ top: `${Math.max(y(budget), 0)}%` }}>budget {format(budget)}</span>}
    </figure>
  );
}

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

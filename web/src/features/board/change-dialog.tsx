import type { ChangeDocument } from "../../api/plans";
import { Dialog } from "../../ui/dialog";
import { hours, oneLine, usd } from "../../ui/format";

/** What a change would do to the plan, before it is made. */
export function ChangeDialog({ change, names, confirm, close }: { change: ChangeDocument | null; names: Map<string, string>; confirm: () => void; close: () => void }) {
  if (!change) return null;
  const what = change.consequences;
  return (
    <Dialog title="Change the plan?" open close={close}>
      <div className="scroll stack-8">
        <ul className="stack">
          {change.diff.map((item) => (
            <li key={item.item ?? item.key}>
              <span className="mono">{item.key}</span> <span className="strong">{item.title}</span> {item.change !== "changed" && <span className="tag">{item.change}</span>}
              <dl className="facts" style={{ marginLeft: 12 }}>
                {Object.entries(item.fields).filter(([name]) => name !== "number" && name !== "rank").map(([name, field]) => [
                  <dt key={`t${name}`}>{name.replaceAll("_", " ")}</dt>,
                  <dd key={`d${name}`}><del className="muted">{shown(field.before, names)}</del> → <b className="strong">{shown(field.after, names)}</b></dd>,
                ])}
              </dl>
            </li>
          ))}
        </ul>
        <div className="notice">
          <ul>
            <li>The end is {hours(what.finish_hours.after)} of work away{shift(what.finish_hours.before, what.finish_hours.after)}.</li>
            {what.estimate_usd.before !== what.estimate_usd.after && <li>The estimate goes from {usd(what.estimate_usd.before)} to {usd(what.estimate_usd.after)}.</li>}
            {what.unblocked.length > 0 && <li>Can start now: {what.unblocked.map((item) => item.key).join(", ")}.</li>}
            {what.blocked.length > 0 && <li>Must wait now: {what.blocked.map((item) => item.key).join(", ")}.</li>}
            {what.warnings.map((text) => <li key={text}>{text}</li>)}
          </ul>
        </div>
      </div>
      <div className="row" style={{ marginTop: 12, justifyContent: "flex-end" }}>
        <button type="button" className="button" onClick={close}>Leave it</button>
        <button type="button" className="button act" onClick={confirm}>Change it</button>
      </div>
    </Dialog>
  );
}

function shift(before: number, after: number): string {
  const by = after - before;
  if (Math.abs(by) < 0.01) return ", as before";
  return by > 0 ? `, ${hours(by)} later` : `, ${hours(-by)} earlier`;
}

function shown(value: unknown, names: Map<string, string>): string {
  if (Array.isArray(value)) return value.length ? value.map((item) => shown(item, names)).join(", ") : "nothing";
  if (typeof value === "string") return names.get(value) ?? value;
  return value == null ? "nothing" : oneLine(value, 120);
}

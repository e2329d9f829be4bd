import type { ReactNode } from "react";
import { explain } from "../api/client";

/** Nine tesserae, one lit, one sentence, one thing to do. */
export function Empty({ children, action, busy = false }: { children: ReactNode; action?: ReactNode; busy?: boolean }) {
  return (
    <div className="empty" role={busy ? "status" : undefined}>
      <div className={busy ? "tesserae busy" : "tesserae"} aria-hidden="true">
        {Array.from({ length: 9 }, (_, index) => <i key={index} className={!busy && index === 4 ? "lit" : undefined} />)}
      </div>
      <p>{children}</p>
      {action}
    </div>
  );
}

export function Loading({ what = "Loading" }: { what?: string }) {
  return <Empty busy>{what}…</Empty>;
}

/** An error with its next step, and a way to try again. */
export function Trouble({ error, retry }: { error: unknown; retry?: () => void }) {
  return (
    <div className="notice bad" role="alert">
      <p>{explain(error)}</p>
      {retry && <button type="button" className="button" style={{ marginTop: 8 }} onClick={retry}>Try again</button>}
    </div>
  );
}

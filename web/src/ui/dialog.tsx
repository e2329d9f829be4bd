import { Dialog as Base } from "@base-ui/react/dialog";
import type { ReactNode } from "react";

/** A dialog with its title; Escape and a click beside it close it. */
export function Dialog({ title, open, close, children }: { title: string; open: boolean; close: () => void; children: ReactNode }) {
  return (
    <Base.Root open={open} onOpenChange={(wanted) => !wanted && close()}>
      <Base.Portal>
        <Base.Backdrop className="scrim" />
        <Base.Popup className="dialog">
          <Base.Title>{title}</Base.Title>
          {children}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}

import { type ReactNode, use, useEffect } from "react";
import { PaletteContext } from "./palette-context";

/** The bar above a screen: where one is, its figures, and the palette. */
export function Top({ title, name, children }: { title: ReactNode; name: string; children?: ReactNode }) {
  const open = use(PaletteContext);
  useEffect(() => {
    document.title = `${name} · MosAIc`;
  }, [name]);
  return (
    <div className="top">
      <h1 className="clip">{title}</h1>
      <div className="right row" style={{ gap: 20 }}>
        {children}
        <button type="button" className="button" onClick={open} style={{ background: "none", padding: 0 }}>
          <kbd>Ctrl K</kbd><span className="hidden">Command palette</span>
        </button>
      </div>
    </div>
  );
}

/** A figure in the bar. */
export function Figure({ label, children, wide = false }: { label: string; children: ReactNode; wide?: boolean }) {
  return (
    <div className={wide ? "figure wide" : "figure"}>
      <span>{label}</span>
      <b>{children}</b>
    </div>
  );
}

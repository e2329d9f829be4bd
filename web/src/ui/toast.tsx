import { useSyncExternalStore } from "react";

interface Toast {
  id: number;
  text: string;
}

let toasts: Toast[] = [];
let next = 1;
const watchers = new Set<() => void>();

function set(list: Toast[]): void {
  toasts = list;
  for (const watcher of watchers) watcher();
}

/** Says something for a few seconds: what was done, or why not. */
export function say(text: string): void {
  const id = next++;
  set([...toasts.slice(-3), { id, text }]);
  setTimeout(() => dismiss(id), 8_000);
}

function dismiss(id: number): void {
  set(toasts.filter((toast) => toast.id !== id));
}

export function Toasts() {
  const shown = useSyncExternalStore((act) => (watchers.add(act), () => watchers.delete(act)), () => toasts);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map((toast) => (
        <div key={toast.id} className="toast">
          <span>{toast.text}</span>
          <button type="button" aria-label="Dismiss" onClick={() => dismiss(toast.id)}>✕</button>
        </div>
      ))}
    </div>
  );
}

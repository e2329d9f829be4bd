import { useSyncExternalStore } from "react";
import { listen } from "../../api/live";
import { type Line, lineOf } from "../runs/lines";

const lines = new Map<string, Line>();
const watchers = new Map<string, Set<() => void>>();
let listening = false;

function begin(): void {
  if (listening) return;
  listening = true;
  listen((events) => {
    const changed = new Set<string>();
    for (const event of events) {
      const line = lineOf(event);
      if (!line?.run || line.tone === "quiet") continue;
      lines.set(line.run, line);
      changed.add(line.run);
    }
    for (const run of changed) for (const act of watchers.get(run) ?? []) act();
  });
}

/** The last thing that was said in a run; only who shows it is drawn again. */
export function useLastLine(run: string | undefined): Line | undefined {
  begin();
  return useSyncExternalStore(
    (act) => {
      if (!run) return () => {};
      const mine = watchers.get(run) ?? new Set();
      mine.add(act);
      watchers.set(run, mine);
      return () => void mine.delete(act);
    },
    () => (run ? lines.get(run) : undefined),
  );
}

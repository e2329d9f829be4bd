import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import type { GraphDocument } from "../../api/plans";
import { runEvents } from "../../api/queries";
import type { EventDocument } from "../../api/schema";
import { replay } from "./replay";

const MOST_RUNS = 60;

export interface Replay {
  graph: GraphDocument;
  /** Everything that happened in the runs of the plan, in order; empty until somebody looks back. */
  events: EventDocument[];
  loading: boolean;
}

/** The plan at a sequence number of the journal; without one, as it is. */
export function useReplay(now: GraphDocument, at: number | undefined): Replay {
  const runs = useMemo(() => [...new Set(now.items.flatMap((item) => item.run_ids))].slice(-MOST_RUNS).sort(), [now.items]);
  const past = useQuery({
    queryKey: ["replay", now.plan, runs],
    queryFn: async ({ signal }) => (await Promise.all(runs.map((run) => runEvents(run, signal)))).flat().sort((one, other) => one.seq - other.seq),
    enabled: at !== undefined && runs.length > 0,
    staleTime: 10_000,
  });
  const events = past.data ?? NONE;
  const graph = useMemo(() => (at === undefined || !events.length ? now : replay(now, events, at)), [at, events, now]);
  return { graph, events, loading: past.isFetching };
}

const NONE: EventDocument[] = [];

import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { listen, useLiveState } from "../../api/live";
import { client, runEvents } from "../../api/queries";
import type { EventDocument } from "../../api/schema";

/** Adds new events to those there are: each once, in order. */
export function merge(known: EventDocument[], news: EventDocument[]): EventDocument[] {
  const last = known[known.length - 1]?.seq ?? 0;
  const later = news.filter((event) => event.seq > last);
  return later.length ? [...known, ...later] : known;
}

/** Every event of a run, those to come too. */
export function useRunEvents(id: string): { events: EventDocument[]; error: unknown; loading: boolean } {
  const key = useMemo(() => ["run-events", id], [id]);
  const [live, setLive] = useState<EventDocument[]>([]);
  const state = useLiveState();
  const past = useQuery({ queryKey: key, queryFn: ({ signal }) => runEvents(id, signal), staleTime: Number.POSITIVE_INFINITY, gcTime: 60_000 });
  useEffect(() => {
    setLive([]);
    return listen((events) => {
      const ours = events.filter((event) => event.run_id === id);
      if (ours.length) setLive((known) => merge(known, ours));
    });
  }, [id]);
  useEffect(() => {
    // Between the last look and the stream's beginning something may have happened.
    if (state === "live") void client.invalidateQueries({ queryKey: key });
  }, [key, state]);
  const events = useMemo(() => merge(past.data ?? [], live), [past.data, live]);
  return { events, error: past.error, loading: past.isPending };
}

import { api, explain } from "../../api/client";
import type { ChangeDocument, GraphDocument } from "../../api/plans";
import { client } from "../../api/queries";
import { say } from "../../ui/toast";

export type Operation =
  | { op: "move"; item: string; parent: string }
  | { op: "link"; item: string; depends_on: string }
  | { op: "unlink"; item: string; depends_on: string }
  | { op: "update"; item: string; set: Record<string, unknown> };

/** Asks what a change would do; nothing is changed. A cycle, or whatever else is refused, is said. */
export async function tryOut(graph: GraphDocument, operations: Operation[]): Promise<ChangeDocument | null> {
  return send(graph, operations, true);
}

/** Makes a change, unless the plan has changed meanwhile. */
export async function apply(graph: GraphDocument, operations: Operation[]): Promise<ChangeDocument | null> {
  const made = await send(graph, operations, false);
  if (made) say("The plan was changed.");
  await client.invalidateQueries({ queryKey: ["plans"] });
  return made;
}

/** Takes a change back. */
export async function undo(change: ChangeDocument): Promise<void> {
  try {
    await api(`/plans/${change.plan}/changes/${change.id}/undo`, { method: "POST", body: {} });
    say("The change was taken back.");
  } catch (error) {
    say(explain(error));
  }
  await client.invalidateQueries({ queryKey: ["plans"] });
}

async function send(graph: GraphDocument, operations: Operation[], dry: boolean): Promise<ChangeDocument | null> {
  try {
    return await api<ChangeDocument>(`/plans/${graph.plan}/changes${dry ? "?dry_run=true" : ""}`, { method: "POST", body: { base_version: graph.version, operations } });
  } catch (error) {
    say(explain(error));
    return null;
  }
}

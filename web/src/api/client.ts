import type { ProblemDocument } from "./schema";

/** What the server answered when it did not do what was asked, or that it did not answer (status 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code: string = "unreachable",
    readonly hint: string | null = null,
    readonly problems: { message?: string; path?: string }[] = [],
  ) {
    super(message);
  }
}

/** A problem as a sentence with its next step. */
export function explain(error: unknown): string {
  if (error instanceof Problem) {
    const places = error.problems.map((item) => item.message).filter(Boolean);
    return [error.message, ...places, error.hint].filter(Boolean).join(" ");
  }
  return error instanceof Error ? error.message : String(error);
}

export interface Call {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  body?: unknown;
  signal?: AbortSignal;
}

let signedOut = () => {};
/** Says what to do when the server no longer knows the session. */
export function onSignedOut(act: () => void): void {
  signedOut = act;
}

/** Calls `/api/v1` and returns the answer, or throws a `Problem`. */
export async function api<T>(path: string, { method = "GET", body, signal }: Call = {}): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(`/api/v1${path}`, {
      method,
      signal: signal ?? null,
      credentials: "same-origin",
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "The server does not answer.", "unreachable", "Is `mosaic up` still running?");
  }
  if (answer.ok) return answer.status === 204 ? (undefined as T) : ((await answer.json()) as T);
  if (answer.status === 401) signedOut();
  const shown = (await answer.json().catch(() => ({}))) as Partial<ProblemDocument>;
  throw new Problem(
    answer.status,
    shown.detail ?? `The server answered ${answer.status}.`,
    shown.code,
    shown.hint ?? null,
    (shown.problems as { message?: string }[] | null) ?? [],
  );
}

/** A path with its query; what is null or undefined is left out. */
export function query(path: string, parameters: Record<string, string | number | string[] | null | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const item of Array.isArray(value) ? value : [value]) if (item != null) search.append(name, String(item));
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

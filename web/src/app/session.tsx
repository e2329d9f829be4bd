import { useQuery } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useEffect, useState } from "react";
import { api, explain, onSignedOut } from "../api/client";
import { keepFresh } from "../api/invalidate";
import { startLive } from "../api/live";
import { client, session } from "../api/queries";
import type { SessionDocument } from "../api/schema";
import { Loading, Trouble } from "../ui/empty";
import { Logo } from "./icons";

/** The code behind the #, taken out of the address before anything else can see it. */
function takeCode(): string | null {
  const code = new URLSearchParams(window.location.hash.slice(1)).get("code");
  if (code) window.history.replaceState(null, "", window.location.pathname + window.location.search);
  return code;
}

const code = takeCode();
let exchanged: Promise<SessionDocument> | null = null;

/** Exchanges the code of this page's address, once. */
function exchange(given: string): Promise<SessionDocument> {
  exchanged ??= api<SessionDocument>("/session", { method: "POST", body: { code: given } });
  return exchanged;
}

onSignedOut(() => {
  const known = client.getQueryData<SessionDocument>(["session"]);
  if (known?.signed_in) client.setQueryData(["session"], { ...known, signed_in: false });
});

/** Shows its children to somebody who is signed in, and everybody else how to sign in. */
export function SignedIn({ children }: { children: ReactNode }) {
  const [refused, setRefused] = useState<unknown>(null);
  const who = useQuery({
    ...session,
    queryFn: async () => {
      const known = await api<SessionDocument>("/session");
      if (known.signed_in || !code || refused) return known;
      try {
        return await exchange(code);
      } catch (error) {
        setRefused(error);
        return known;
      }
    },
  });
  const signedIn = who.data?.signed_in ?? false;
  useEffect(() => {
    if (!signedIn) return undefined;
    startLive();
    return keepFresh();
  }, [signedIn]);
  if (who.isPending) return <div className="sign-in"><Loading what="Opening the board" /></div>;
  if (who.isError) return <div className="sign-in"><div className="tile"><Trouble error={who.error} retry={() => void who.refetch()} /></div></div>;
  return signedIn ? children : <SignIn refused={refused} />;
}

function SignIn({ refused }: { refused: unknown }) {
  const [token, setToken] = useState("");
  const [error, setError] = useState<unknown>(refused);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    try {
      client.setQueryData(["session"], await api<SessionDocument>("/session", { method: "POST", body: { token: token.trim() } }));
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <main className="sign-in">
      <form className="tile" onSubmit={(event) => void submit(event)}>
        <div className="row"><Logo /><h1>Sign in to MosAIc</h1></div>
        <p className="muted">
          <code>mosaic up</code> prints an address that signs you in. Or paste the owner's token: it is in <code>.mosaic/owner-token</code> on the server.
        </p>
        <label>
          <span className="hidden">Owner's token</span>
          <input className="field mono" type="password" autoComplete="current-password" placeholder="Owner's token" required value={token} onChange={(event) => setToken(event.target.value)} />
        </label>
        {error != null && <div className="notice bad" role="alert">{explain(error)}</div>}
        <button type="submit" className="button act">Sign in</button>
      </form>
    </main>
  );
}

/** Ends the session of this browser. */
export async function signOut(): Promise<void> {
  await api("/session", { method: "DELETE" });
  client.clear();
  window.location.assign("/");
}

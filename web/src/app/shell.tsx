import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useRouterState } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useState } from "react";
import { useLiveState } from "../api/live";
import { asks } from "../api/queries";
import { icons, Logo } from "./icons";
import { PaletteContext } from "./palette-context";
import { toggleTheme, useTheme } from "./theme";

const Palette = lazy(() => import("./palette"));

const PLACES = [
  { to: "/", label: "Board", icon: icons.board, here: /^\/($|plans|runs|workflows)/ },
  { to: "/inbox", label: "Inbox", icon: icons.inbox, here: /^\/inbox/ },
  { to: "/agents", label: "Agents", icon: icons.agents, here: /^\/agents/ },
  { to: "/cost", label: "Cost", icon: icons.cost, here: /^\/(cost|report)/ },
  { to: "/settings/providers", label: "Settings", icon: icons.settings, here: /^\/settings/ },
] as const;

/** What is around every screen: the places, whether events arrive, the palette and its key. */
export function Shell() {
  const path = useRouterState({ select: (state) => state.location.pathname });
  const pending = useQuery(asks).data?.items.length ?? 0;
  const live = useLiveState();
  const theme = useTheme();
  const [palette, setPalette] = useState(false);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setPalette((open) => !open);
      }
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, []);
  return (
    <PaletteContext value={() => setPalette(true)}>
      <div className="shell">
        <header className="rail">
          <Link to="/" className="logo" aria-label="MosAIc, home"><Logo /></Link>
          <nav aria-label="Places">
            {PLACES.map((place) => (
              <Link key={place.to} to={place.to} data-here={place.here.test(path)} aria-current={place.here.test(path) ? "page" : undefined}>
                {place.icon}
                {place.label}
                {place.to === "/inbox" && pending > 0 && <span className="badge" aria-label={`${pending} waiting`}>{pending}</span>}
              </Link>
            ))}
          </nav>
          <div className="foot">
            <button type="button" onClick={toggleTheme} aria-label={theme === "dark" ? "Light theme" : "Dark theme"}>
              {theme === "dark" ? icons.sun : icons.moon}
            </button>
            <div className="live" data-state={live} role="status"><i />{live === "signed-out" ? "offline" : live}</div>
          </div>
        </header>
        <main className="main">
          {live === "offline" && <div className="offline" role="alert">The server does not answer. What you see may be old; it goes on by itself when the server is back.</div>}
          <Outlet />
        </main>
      </div>
      {palette && <Suspense fallback={null}><Palette close={() => setPalette(false)} /></Suspense>}
    </PaletteContext>
  );
}

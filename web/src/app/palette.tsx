import { Dialog } from "@base-ui/react/dialog";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";
import { asks, plans, runs, workflows } from "../api/queries";
import { startExample } from "../features/runs/actions";
import { ago } from "../ui/format";
import { Shape, type State, stateOf } from "../ui/status";
import { match } from "./palette-match";
import { signOut } from "./session";
import { toggleTheme } from "./theme";

interface Command {
  id: string;
  label: string;
  hint: string;
  state?: State;
  act: () => void;
}

/** Everything by its name: places, plans, runs, asks, and things to do. */
export default function Palette({ close }: { close: () => void }) {
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const commands = useCommands();
  const found = useMemo(() => match(commands, text).slice(0, 60), [commands, text]);
  const here = Math.min(chosen, Math.max(found.length - 1, 0));
  useEffect(() => list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" }), [here]);
  const run = (command: Command | undefined) => {
    if (!command) return;
    close();
    command.act();
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setChosen(Math.min(here + 1, found.length - 1));
    else if (event.key === "ArrowUp") setChosen(Math.max(here - 1, 0));
    else if (event.key === "Enter") run(found[here]);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog.Root open onOpenChange={(open) => !open && close()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="scrim" />
        <Dialog.Popup className="dialog palette">
          <Dialog.Title className="hidden">Command palette</Dialog.Title>
          <input
            autoFocus role="combobox" aria-expanded="true" aria-controls="palette-list" aria-label="Search places, runs, asks and commands"
            aria-activedescendant={found[here] ? `palette-${found[here].id}` : undefined}
            placeholder="Go to, find, do…" value={text} onKeyDown={press}
            onChange={(event) => { setText(event.target.value); setChosen(0); }}
          />
          <div role="listbox" id="palette-list" aria-label="Commands" ref={list}>
            {found.map((command, index) => (
              <div key={command.id} id={`palette-${command.id}`} role="option" aria-selected={index === here}
                onMouseMove={() => setChosen(index)} onClick={() => run(command)}>
                {command.state && <Shape state={command.state} />}
                <span className="clip">{command.label}</span>
                <span className="muted small right" style={{ flex: "none" }}>{command.hint}</span>
              </div>
            ))}
          </div>
          {found.length === 0 && <p className="muted" style={{ padding: 12 }}>Nothing is called that.</p>}
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

const LENSES = [["list", "as a list"], ["gantt", "Gantt"], ["dag", "dependencies"]] as const;

function useCommands(): Command[] {
  const go = useNavigate();
  const runList = useQuery(runs).data?.items;
  const askList = useQuery(asks).data?.items;
  const planList = useQuery(plans).data?.items;
  const flowList = useQuery(workflows).data?.items;
  return useMemo(() => {
    const place = (label: string, to: string): Command => ({ id: `to${to.replaceAll("/", "-")}`, label, hint: "go to", act: () => void go({ to }) });
    return [
      ...(askList ?? []).map((item): Command => ({
        id: item.id, label: item.title, hint: "needs you", state: "needs", act: () => void go({ to: "/inbox", search: { ask: item.id, show: undefined } }),
      })),
      place("Home", "/"), place("Inbox", "/inbox"), place("Runs", "/runs"), place("Workflows", "/workflows"), place("Agents", "/agents"), place("Cost", "/cost"),
      place("Report", "/report"), place("Providers", "/settings/providers"), place("Admin and audit", "/settings/admin"),
      { id: "example", label: "Start the example: fix a failing test", hint: "do", act: () => void startExample("fix-failing-test").then((run) => run && go({ to: "/runs/$runId", params: { runId: run.id }, search: { step: undefined } })) },
      { id: "hello", label: "Start the example: hello team", hint: "do", act: () => void startExample("hello-team").then((run) => run && go({ to: "/runs/$runId", params: { runId: run.id }, search: { step: undefined } })) },
      { id: "theme", label: "Switch between light and dark", hint: "do", act: toggleTheme },
      { id: "sign-out", label: "Sign out", hint: "do", act: () => void signOut() },
      ...(planList ?? []).map((item): Command => ({
        id: item.id, label: item.name, hint: "plan", act: () => void go({ to: "/plans/$planId", params: { planId: item.id }, search: { item: undefined, lens: undefined, at: undefined } }),
      })),
      ...(planList ?? []).flatMap((item) => LENSES.map(([lens, label]): Command => ({
        id: `${item.id}-${lens}`, label: `${item.name}: ${label}`, hint: "lens", act: () => void go({ to: "/plans/$planId", params: { planId: item.id }, search: { item: undefined, lens, at: undefined } }),
      }))),
      ...(flowList ?? []).map((item): Command => ({
        id: `workflow-${item.name}`, label: `Start ${item.name}…`, hint: "workflow", act: () => void go({ to: "/workflows/$name", params: { name: item.name } }),
      })),
      ...(runList ?? []).map((item): Command => ({
        id: item.id, label: `${item.workflow} ${item.id.slice(-5)}`, hint: ago(item.created_at), state: stateOf(item.status),
        act: () => void go({ to: "/runs/$runId", params: { runId: item.id }, search: { step: undefined } }),
      })),
    ];
  }, [askList, flowList, go, planList, runList]);
}

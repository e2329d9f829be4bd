import { useMemo } from "react";
import type { OutlineStep } from "../../api/schema";
import { Shape, type State } from "../../ui/status";
import { flow } from "./flow";

const EMPTY = new Map<string, State>();

/** A workflow's steps, drawn: in order from above, side by side where they are done at the same time. */
export function FlowGraph({ steps, states = EMPTY, chosen, choose, label }: {
  steps: OutlineStep[]; states?: Map<string, State>; chosen?: string | undefined; choose?: ((step: OutlineStep) => void) | undefined; label: string;
}) {
  const drawn = useMemo(() => flow(steps), [steps]);
  return (
    <div className="scroll flow-scroll" role="group" aria-label={label} tabIndex={0}>
      <div className="flow" style={{ width: drawn.width + 8, height: drawn.height + 8 }}>
        {drawn.nodes.map((node) => {
          const { step } = node;
          const state = states.get(step.path);
          const doers = step.agents.join(", ");
          return (
            <button
              key={step.path} type="button" className={`flow-node${node.holds ? " holds" : ""}${state ? ` ${state}` : ""}`} aria-pressed={step.path === chosen}
              style={{ left: node.x + 4, top: node.y + 4, width: node.width, height: node.height }} onClick={() => choose?.(step)}
            >
              <span className="row" style={{ gap: 6 }}>
                {state && <Shape state={state} size={10} />}
                <span className="strong clip">{step.name}</span>{" "}
                <span className="tag right">{step.kind}</span>
              </span>{" "}
              <span className={doers ? "clip muted small" : "clip muted small mono"}>{doers || step.detail || step.description}{step.condition && ` if ${step.condition}`}</span>
              {state && <span className="hidden"> {state}</span>}
            </button>
          );
        })}
        {drawn.labels.map((item) => <span key={`${item.x} ${item.y}`} className="flow-label clip muted small" style={{ left: item.x + 4, top: item.y + 2, width: item.width }}>{item.text}</span>)}
        <svg width={drawn.width + 8} height={drawn.height + 8} viewBox={`-4 -4 ${drawn.width + 8} ${drawn.height + 8}`} aria-hidden="true">
          <defs>
            <marker id="flow-end" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="var(--ink-2)" /></marker>
          </defs>
          {drawn.edges.map((edge) => <path key={edge.path} d={edge.path} className={edge.back ? "flow-edge back" : "flow-edge"} markerEnd="url(#flow-end)" />)}
        </svg>
      </div>
    </div>
  );
}

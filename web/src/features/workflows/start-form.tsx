import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useId, useMemo, useState } from "react";
import { api, explain, Problem } from "../../api/client";
import { client } from "../../api/queries";
import type { RunDocument, WorkflowOutline } from "../../api/schema";
import { type FieldOf, fieldsOf, inputsOf, type Schema } from "./inputs";

/** Starts a workflow: a field for each of its inputs, checked here and by the server. */
export function StartForm({ workflow }: { workflow: WorkflowOutline }) {
  const go = useNavigate();
  const fields = useMemo(() => fieldsOf(workflow.inputs as Schema), [workflow.inputs]);
  const [texts, setTexts] = useState<Record<string, string>>({});
  const [folder, setFolder] = useState(workflow.workspace_source ?? "");
  const [limit, setLimit] = useState("");
  const [wrong, setWrong] = useState<Record<string, string>>({});
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const read = inputsOf(fields, texts);
    setWrong(read.wrong);
    if (Object.keys(read.wrong).length) return;
    const options = { ...(folder && folder !== workflow.workspace_source ? { workspace_source: folder } : {}), ...(limit ? { usd: Number(limit) } : {}) };
    setBusy(true);
    setError(null);
    try {
      const run = await api<RunDocument>(`/board/workflows/${encodeURIComponent(workflow.name)}/runs`, { method: "POST", body: { inputs: read.inputs, options } });
      void client.invalidateQueries({ queryKey: ["runs"] });
      void go({ to: "/runs/$runId", params: { runId: run.id }, search: { step: undefined } });
    } catch (problem) {
      const found = problem instanceof Problem ? placed(fields, problem) : {};
      setWrong(found);
      setError(Object.keys(found).length ? null : problem);
      setBusy(false);
    }
  };
  return (
    <form className="stack-8" onSubmit={(event) => void submit(event)} noValidate aria-label={`Start ${workflow.name}`}>
      {fields.map((field) => <InputField key={field.name} field={field} text={texts[field.name] ?? field.initial} wrong={wrong[field.name]} change={(text) => setTexts((known) => ({ ...known, [field.name]: text }))} />)}
      {fields.length === 0 && <p className="muted">It takes no inputs.</p>}
      {workflow.works_on_folder && (
        <label><span className="strong">Folder</span> <span className="muted">on the server; it works on a copy</span>
          <input className="field mono" required value={folder} onChange={(event) => setFolder(event.target.value)} /></label>
      )}
      <label><span className="strong">Budget</span> <span className="muted">in dollars, at most{workflow.limits.usd != null && `; ${workflow.limits.usd} by itself`}</span>
        <input className="field" type="number" min="0" step="0.01" placeholder={workflow.limits.usd != null ? String(workflow.limits.usd) : "no limit of its own"} value={limit} onChange={(event) => setLimit(event.target.value)} /></label>
      {error != null && <div className="notice bad" role="alert">{explain(error)}</div>}
      <button type="submit" className="button act" disabled={busy}>{busy ? "Starting…" : "Start"}</button>
    </form>
  );
}

function InputField({ field, text, wrong, change }: { field: FieldOf; text: string; wrong: string | undefined; change: (text: string) => void }) {
  const id = useId();
  const { name, schema, required, kind } = field;
  const props = { id, className: kind === "json" ? "field mono" : "field", "aria-describedby": wrong ? `${id}-wrong` : undefined, "aria-invalid": wrong ? true : undefined };
  const choices = (schema.enum ?? []).map((value) => (typeof value === "string" ? value : JSON.stringify(value)));
  return (
    <div>
      <label htmlFor={id}><span className="strong">{schema.title ?? name}</span> {!required && <span className="muted">(optional)</span>}</label>
      {schema.description && <p className="muted small">{schema.description}</p>}
      {kind === "choice" || kind === "yes-no" ? (
        <select {...props} value={text} onChange={(event) => change(event.target.value)}>
          {(!required || !text) && <option value="">–</option>}
          {(kind === "yes-no" ? ["true", "false"] : choices).map((value) => <option key={value} value={value}>{kind === "yes-no" ? (value === "true" ? "yes" : "no") : value}</option>)}
        </select>
      ) : kind === "long" || kind === "json" ? (
        <textarea {...props} rows={kind === "json" ? 4 : 3} value={text} onChange={(event) => change(event.target.value)} />
      ) : (
        <input {...props} type={kind === "number" ? "number" : "text"} step={schema.type === "integer" ? 1 : "any"} value={text} onChange={(event) => change(event.target.value)} />
      )}
      {wrong && <p id={`${id}-wrong`} className="wrong" role="alert">{wrong}</p>}
    </div>
  );
}

/** The server's problems by the field that each names. */
function placed(fields: FieldOf[], problem: Problem): Record<string, string> {
  const found: Record<string, string> = {};
  for (const item of problem.problems) {
    const path = (item.path ?? "").replace(/^(body\.)?inputs\.?/, "");
    const field = fields.find(({ name }) => path === name || path.startsWith(`${name}.`) || path.startsWith(`${name}[`));
    if (field && item.message) found[field.name] = item.message;
  }
  return found;
}

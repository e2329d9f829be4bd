/** A JSON schema, as far as a form is made of it. */
export interface Schema {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  format?: string;
  properties?: Record<string, Schema>;
  required?: string[];
}

export interface FieldOf {
  name: string;
  schema: Schema;
  required: boolean;
  kind: "text" | "long" | "number" | "yes-no" | "choice" | "json";
  /** What stands in it at first. */
  initial: string;
}

/** The fields of a form for inputs: one for each property, what is required first as it is written. */
export function fieldsOf(schema: Schema): FieldOf[] {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).map(([name, property]) => {
    const kind = kindOf(property);
    const shown = property.default;
    const initial = shown === undefined ? "" : kind === "json" || (kind === "choice" && typeof shown !== "string") ? JSON.stringify(shown, null, kind === "json" ? 1 : 0) : String(shown);
    return { name, schema: property, required: required.has(name), kind, initial };
  });
}

function kindOf(schema: Schema): FieldOf["kind"] {
  if (schema.enum?.length) return "choice";
  const types = (Array.isArray(schema.type) ? schema.type : [schema.type]).filter((type) => type && type !== "null");
  if (types.length !== 1) return types.length ? "json" : "text";
  if (types[0] === "boolean") return "yes-no";
  if (types[0] === "integer" || types[0] === "number") return "number";
  if (types[0] === "string") return (schema.maxLength ?? 0) > 200 || String(schema.default ?? "").length > 60 ? "long" : "text";
  return "json";
}

/** The inputs that a form's texts stand for, or what is wrong with which field. What was left empty is left out. */
export function inputsOf(fields: FieldOf[], texts: Record<string, string>): { inputs: Record<string, unknown>; wrong: Record<string, string> } {
  const inputs: Record<string, unknown> = {};
  const wrong: Record<string, string> = {};
  for (const field of fields) {
    const text = texts[field.name] ?? field.initial;
    if (text === "") {
      if (field.required) wrong[field.name] = "This is needed.";
      continue;
    }
    const problem = read(field, text, inputs);
    if (problem) wrong[field.name] = problem;
  }
  return { inputs, wrong };
}

function read({ name, kind, schema }: FieldOf, text: string, inputs: Record<string, unknown>): string | null {
  if (kind === "number") {
    const value = Number(text);
    if (!Number.isFinite(value)) return "This must be a number.";
    if (schema.type === "integer" && !Number.isInteger(value)) return "This must be a whole number.";
    if (schema.minimum !== undefined && value < schema.minimum) return `This must be ${schema.minimum} or more.`;
    if (schema.maximum !== undefined && value > schema.maximum) return `This must be ${schema.maximum} or less.`;
    inputs[name] = value;
  } else if (kind === "yes-no") inputs[name] = text === "true";
  else if (kind === "choice") inputs[name] = schema.enum!.find((value) => (typeof value === "string" ? value : JSON.stringify(value)) === text) ?? text;
  else if (kind === "json") {
    try {
      inputs[name] = JSON.parse(text);
    } catch {
      return "This must be JSON.";
    }
  } else {
    if (schema.minLength !== undefined && text.length < schema.minLength) return `This must have at least ${schema.minLength} characters.`;
    inputs[name] = text;
  }
  return null;
}

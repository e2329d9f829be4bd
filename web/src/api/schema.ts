// Written by web/generate_types.py from the server's OpenAPI document; do not edit.

/** Something that must be true before an item counts as done. */
export interface AcceptanceCriterion {
  text: string;
  met?: boolean;
}

/** What runs took so far. */
export interface ActualDocument {
  hours: number;
  tokens: number;
  usd: number;
}

/** Add an item. What it is follows from where it stands: a child of a story is a task. */
export interface Add {
  /** stand before this sibling */
  before?: string | null;
  /** stand after this sibling; last without either */
  after?: string | null;
  op: "add";
  /** a name for later operations */
  ref?: string | null;
  /** the key it shall have; the next free one without */
  key?: string | null;
  /** null adds an epic */
  parent?: string | null;
  item: NewItemFields;
  depends_on?: string[];
}

/** An MCP server to register: a command or an address. */
export interface AddServer {
  name: string;
  /** program and arguments of a stdio server */
  command?: string[];
  /** the address of a streamable HTTP server */
  url?: string | null;
  /** secrets as env:VARIABLE */
  headers?: Record<string, string>;
  /** secrets as env:VARIABLE */
  environment?: Record<string, string>;
  trust_annotations?: boolean;
  confined?: boolean;
  /** approve tools that appear later as they come */
  accept_new?: boolean;
  start_timeout_s?: number;
  /** patterns of the tools that are used; empty means all */
  tools?: string[];
}

/** An agent that has worked here. */
export interface AgentDocument {
  name: string;
  version: string | null;
  description: string;
  kind: string;
  capabilities: string[];
  availability: "online" | "busy" | "offline" | "error";
  detail: string | null;
  active: number;
  capacity: number;
  load: number;
  pool: string;
  registered_at: string;
  heartbeat_at: string;
  affinities: Record<string, string[]>;
}

/** Figures over all agents. */
export interface AgentFigures {
  total: number;
  online: number;
  offline: number;
  busy: number;
  error: number;
  average_load: number;
  total_capacity: number;
  /** per cent */
  utilization: number;
}

/** The agents and the registry's figures. */
export interface AgentPage {
  items: AgentDocument[];
  metrics: AgentFigures;
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** A change set. */
export interface ApplyChanges {
  /** the version it was made for; 412 when the plan has another one by now */
  base_version?: number | null;
  /** why, for the history */
  note?: string;
  operations: (Add | Update | Move | Remove | Link | Unlink | UpdatePlan)[];
}

/** A question to a person, and its answer. */
export interface ApprovalDocument {
  id: string;
  run_id: string;
  path: string;
  kind: "tool" | "ask";
  title: string;
  detail: Record<string, unknown>;
  roles: string[];
  status: "pending" | "approved" | "rejected" | "expired";
  requested_by: string;
  requested_at: string;
  expires_at: string | null;
  on_timeout: "deny" | "approve";
  /** how many different people must say yes, or vote */
  quorum: number;
  /** one no rejects, or the larger side decides */
  counting: "veto" | "majority";
  /** whoever the run belongs to may not say yes */
  four_eyes: boolean;
  votes: VoteDocument[];
  decided_by: string | null;
  decided_at: string | null;
  note: string | null;
  arguments: Record<string, unknown> | null;
  answer: unknown;
  scope: "once" | "run" | "always";
  /** the calls that a lasting yes holds for */
  pattern: Record<string, unknown> | null;
  /** the rule that a lasting yes became */
  rule: string | null;
}

/** Approvals, oldest first; events after `seq` tell what has changed since. */
export interface ApprovalPage {
  items: ApprovalDocument[];
  next_cursor: string | null;
  seq: number;
}

/** What a yes would mean. */
export interface ApprovalPreview {
  approval: string;
  status: "pending" | "approved" | "rejected" | "expired";
  /** what the yes is for, secrets masked; null: too large */
  arguments: Record<string, unknown> | null;
  edited: boolean;
  scope: "once" | "run" | "always";
  /** the calls it would hold for besides this one */
  pattern: Record<string, unknown> | null;
  /** the same as a sentence */
  holds_for: string | null;
  /** what edited arguments would do: risk, effects, diff, command, note */
  detail: Record<string, unknown>;
}

/** A yes, perhaps with changed arguments or an answer, for once or for longer. */
export interface Approve {
  /** run the tool with these arguments instead */
  arguments?: Record<string, unknown> | null;
  /** or change single places: dotted place -> value */
  set?: Record<string, unknown> | null;
  /** how long the yes holds: this call, the rest of the run, until it is revoked */
  scope?: "once" | "run" | "always";
  /** argument -> what it must be like (`src/**`), for a yes that lasts; empty: the same arguments */
  match?: Record<string, unknown> | null;
  note?: string | null;
  /** the answer to a question of a workflow */
  answer?: unknown;
}

/** What the approver has seen. */
export interface ApproveTool {
  /** refuse if the server shows something else now */
  digest?: string | null;
}

/** Something a run kept. */
export interface ArtifactDocument {
  id: string;
  run_id: string;
  name: string;
  media_type: string;
  digest: string;
  size_bytes: number;
  created_at: string;
}

/** What a run kept, oldest first. */
export interface ArtifactPage {
  items: ArtifactDocument[];
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** A digest over the audit trail: it is another one when anything up to there was changed. */
export interface AuditDigest {
  /** sequence number of the last event that counts */
  through: number;
  events: number;
  digest: string;
}

/** Audited events, newest first. */
export interface AuditPage {
  items: EventDocument[];
  /** the same as a sequence number, for `before` */
  next_before: number | null;
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** Lines of a bill; `next_cursor` continues it. */
export interface BillPage {
  text: string;
  next_cursor: string | null;
}

/** More about an epic or a feature. */
export interface Brief {
  goals?: string[];
  definition_of_done?: string[];
  risks?: Risk[];
  external_dependencies?: string[];
  next_steps?: Record<string, string[]>;
  metrics?: Metric[];
  test_strategy?: Record<string, string>;
}

/** A budget and what became of it in its present period. */
export interface BudgetDocument {
  id: string;
  scope: "tenant" | "project" | "run" | "agent" | "key";
  subject: string | null;
  period: "total" | "day" | "month";
  current_period: string;
  limit_usd: number | null;
  spent_usd: number;
  /** taken by processes to spend; counts as spent until they give it back */
  leased_usd: number;
  /** the part of spent_usd whose answer was lost */
  unconfirmed_usd: number;
  left_usd: number | null;
  limit_tokens: number | null;
  spent_tokens: number;
  leased_tokens: number;
  alert_at: number[];
  created_at: string;
  created_by: string;
}

/** Budgets in the order in which they were set. */
export interface BudgetPage {
  items: BudgetDocument[];
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** Hit rates and tiers of one node. */
export interface CacheDocument {
  routes: CachedRoute[];
  tiers: CacheTierDocument[];
}

/** What one tier knows of itself; null is what it does not know. */
export interface CacheTierDocument {
  name: string;
  entries: number | null;
  size_bytes: number | null;
  evicted: number | null;
  open: boolean;
  failures: number;
  dropped: number;
}

/** How often a route's answers were known. */
export interface CachedRoute {
  route: string;
  lookups: number;
  hits: number;
  /** from 0 to 1 */
  hit_rate: number;
  memory: number;
  redis: number;
  objects: number;
  /** waited for another request that asked the same */
  joined: number;
  /** got the answer to a similar question */
  similar: number;
  stale: number;
  /** asked a model */
  fetched: number;
  saved_bytes: number;
}

/** A call of a tool. */
export interface CallTool {
  arguments?: Record<string, unknown>;
  view?: string | null;
  /** for whoever has to approve */
  why?: string | null;
  idempotency_key?: string | null;
}

/** A change of a plan: what it does, and what that means. */
export interface ChangeDocument {
  /** null for a dry run */
  id: string | null;
  plan: string;
  base_version: number;
  /** the version it made, or would make */
  version: number;
  dry_run: boolean;
  note: string;
  diff: ItemChangeDocument[];
  consequences: Consequences;
  created_at: string;
  created_by: string;
  undoes: string | null;
  undone_by: string | null;
}

/** Changes of a plan, newest first. */
export interface ChangePage {
  items: ChangeDocument[];
  next_cursor: string | null;
}

/** Files to check. */
export interface CheckPolicy {
  /** file name (policy.yaml, permissions.cedar) -> content, instead of what is in force */
  files: Record<string, string>;
}

/** What is wrong in the files. */
export interface CheckedPolicy {
  valid: boolean;
  problems: PolicyProblem[];
  notes: string[];
  rules: number;
  permissions: number;
}

/** A code that opens one session. */
export interface CodeDocument {
  code: string;
}

/** A comment; deleted ones keep their place and have no body. */
export interface CommentDocument {
  id: string;
  project: string;
  subject: SubjectDocument;
  /** the run in whose journal it is */
  run_id: string | null;
  /** the plan it belongs to */
  plan_id: string | null;
  /** Markdown, kept as it is: whoever shows it renders it */
  body: string;
  author: string;
  reply_to: string | null;
  revision: number;
  created_at: string;
  edited_at: string | null;
  deleted_at: string | null;
}

/** Comments, oldest first. */
export interface CommentPage {
  items: CommentDocument[];
  next_cursor: string | null;
}

/** What a change means. */
export interface Consequences {
  finish_hours: Hours;
  estimate_usd: Dollars;
  /** hours of work in all */
  estimate_hours: Dollars;
  critical_path: Paths;
  /** items that can start now and could not before */
  unblocked: ItemName[];
  /** items that could start and now cannot */
  blocked: ItemName[];
  /** what the rules of a work breakdown advise against */
  warnings: string[];
}

/** A key somebody wants. */
export interface CreateKey {
  name: string;
  project?: string | null;
  /** patterns with * and ?; empty admits all */
  models?: string[];
  /** patterns with * and ?; empty admits all */
  routes?: string[];
  /** empty admits all */
  scopes?: ("chat" | "embed" | "count_tokens" | "models" | "tools")[];
  expires_at?: string | null;
  limits?: Limits;
  budget?: KeyBudget | null;
}

/** A new plan: empty, from operations, or from a YAML document. */
export interface CreatePlan {
  name?: string | null;
  description?: string;
  project?: string | null;
  operations?: (Add | Update | Move | Remove | Link | Unlink | UpdatePlan)[];
  /** a plan as YAML, in place of the rest */
  document?: string | null;
  /** the document's name, for messages */
  file?: string | null;
}

/** An address that is to be told of events. */
export interface CreateWebhook {
  name: string;
  url: string;
  /** patterns of event types */
  events?: string[];
  project?: string | null;
  /** deliveries in flight; one keeps the order of the journal */
  at_once?: number;
  /** begin after this journal sequence instead of now */
  after?: number | null;
}

/** Something that must be true before an item counts as done. */
export interface CriterionDocument {
  text: string;
  met: boolean;
}

/** An execution whose process crashed too often. */
export interface DeadLetterDocument {
  id: string;
  run_id: string;
  handler: string;
  path: string;
  queue: string | null;
  priority: number;
  status: string;
  error_code: string | null;
  attempt: number;
  crashes: number;
  node: string | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
}

/** Work that was given up, oldest first. */
export interface DeadLetterPage {
  items: DeadLetterDocument[];
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** One event on its way to one webhook. */
export interface DeliveryDocument {
  id: string;
  webhook: string;
  seq: number;
  /** its id, which is also that of the message */
  event: string;
  type: string;
  status: "waiting" | "delivered" | "dead";
  attempts: number;
  replay: boolean;
  next_at: string | null;
  created_at: string;
  finished_at: string | null;
  /** the HTTP status of the last attempt */
  answer: number | null;
  error: string | null;
}

/** Deliveries, newest first. */
export interface DeliveryPage {
  items: DeliveryDocument[];
  next_cursor: string | null;
}

/** Dollars; null where nobody has estimated. */
export interface Dollars {
  before: number | null;
  after: number | null;
}

/** Other words for a comment. */
export interface EditComment {
  /** Markdown, kept as it is: whoever shows it renders it */
  body: string;
  /** the revision that was read; 409 when it has another one by now */
  base_revision?: number | null;
}

/** What is expected; null where nobody has said. */
export interface EstimateDocument {
  hours: number | null;
  tokens: number | null;
  usd: number | null;
}

/** What an item is expected to take; null where nobody has said. */
export interface EstimateFields {
  hours?: number | null;
  tokens?: number | null;
  usd?: number | null;
}

/** One event of the journal. */
export interface EventDocument {
  seq: number;
  id: string;
  type: string;
  schema_version: number;
  occurred_at: string;
  tenant: string;
  project: string;
  actor: string;
  correlation: string | null;
  causation: string | null;
  run_id: string | null;
  path: string | null;
  data: Record<string, unknown>;
}

/** Events in order; `after` continues the page. */
export interface EventPage {
  items: EventDocument[];
  after: number;
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** A workflow that came along. */
export interface ExampleDocument {
  name: string;
  description: string;
  /** JSON schema of its inputs */
  inputs: Record<string, unknown>;
}

/** The examples. */
export interface ExamplePage {
  items: ExampleDocument[];
}

/** A workflow and what it is to work on. */
export interface Execute {
  /** a workflow's name */
  workflow_id: string;
  input?: Record<string, unknown>;
  context?: ExecutionContext | null;
}

/** Something that an execution kept. */
export interface ExecutionArtifact {
  id: string;
  run_id: string;
  name: string;
  media_type: string;
  digest: string;
  size_bytes: number;
  created_at: string;
  url: string;
}

/** What the control plane knows of the user; it is journaled with the run. */
export interface ExecutionContext {
  subscription_tier?: string | null;
  feature_flags?: string[];
}

/** How far an execution is, in steps of the workflow itself. */
export interface ExecutionProgress {
  steps: number;
  done: number;
  percent: number;
  /** steps that are under way */
  current: string[];
}

/** A workflow that has been started. */
export interface ExecutionStarted {
  execution_id: string;
  status: "started";
}

/** How an execution stands. */
export interface ExecutionStatus {
  execution_id: string;
  workflow_id: string;
  status: "running" | "completed" | "failed";
  progress: ExecutionProgress;
  /** why it failed */
  error: Record<string, unknown> | null;
  /** when it is completed */
  artifacts: ExecutionArtifact[] | null;
  /** when it is completed */
  output: unknown;
}

/** A call to explain. */
export interface ExplainCall {
  tool: string;
  arguments?: Record<string, unknown>;
  agent?: string | null;
  workflow?: string | null;
  project?: string | null;
  /** whom the run belongs to */
  actor?: string | null;
  run?: string | null;
  /** for a tool that is not known */
  risk?: "read_only" | "generative" | "external_api" | "destructive" | "financial" | null;
  effects?: ("read" | "write" | "exec" | "network" | "destructive")[] | null;
  /** roles of the actor; only with `files` */
  roles?: string[];
  /** file name (policy.yaml, permissions.cedar) -> content, instead of what is in force */
  files?: Record<string, string> | null;
}

/** A request whose way is asked for. The tenant is the caller's. */
export interface ExplainRoute {
  /** a route, provider:model, or any name that rules know */
  name?: string;
  kind?: "ai" | "git" | "ci" | "knowledge" | "projects" | "automation";
  operation?: string;
  /** the caller's own by default */
  project?: string | null;
  key_id?: string | null;
  agent?: string | null;
  /** capabilities, such as vision or tools */
  needs?: string[];
  input_tokens?: number;
  max_output_tokens?: number;
  privacy?: "any" | "strict";
  residency?: string[];
  compliance?: string[];
  attributes?: Record<string, unknown>;
  session?: string | null;
  region?: string | null;
  budget_usd?: number | null;
  /** decides shares such as a canary's */
  request_id?: string;
}

/** What would become of a call, and why. */
export interface ExplainedCall {
  decision: "allow" | "ask" | "deny";
  reason: string;
  /** the version, and the rule that decided */
  policy: Record<string, string | null>;
  call: Record<string, unknown>;
  /** what defaults, settings, workflow and agent say alone */
  layers: Record<string, unknown>;
  rules: RuleLook[];
  permissions: Record<string, unknown> | null;
  /** the standing rule that lets it pass */
  standing: string | null;
  /** who would be asked */
  approval: Record<string, unknown> | null;
  to_change: string[];
  /** the same in sentences */
  summary: string[];
  notes: string[];
}

/** Where a request would go now, and why. */
export interface ExplanationDocument {
  /** candidates in order, and who was rejected for what */
  decision: Record<string, unknown> | null;
  /** why nobody takes it */
  error: Record<string, unknown> | null;
  found_by: string;
  required: Requirement[];
  rules: RuleSeen[];
  /** the same in sentences */
  summary: string[];
}

/** What somebody said. */
export interface FeedbackDocument {
  id: string;
  project: string;
  generation_id: string;
  run_id: string | null;
  rating: number;
  comments: string | null;
  issues: string[];
  created_at: string;
  created_by: string;
}

/** Feedback, newest first. */
export interface FeedbackPage {
  items: FeedbackDocument[];
  next_cursor: string | null;
}

/** A field before and after. */
export interface FieldChangeDocument {
  before: unknown;
  after: unknown;
}

/** What a period will have cost at its end. */
export interface ForecastDocument {
  period: "total" | "day" | "month";
  ends_at: string;
  spent_usd: number;
  expected_usd: number;
  low_usd: number;
  high_usd: number;
  days_seen: number;
}

/** Where a new run parts from an old one. */
export interface Fork {
  from_step: string;
  /** inputs that replace those of the old run */
  inputs?: Record<string, unknown> | null;
}

/** What somebody says of a generation. */
export interface GiveFeedback {
  /** what it is about, such as an execution */
  generation_id: string;
  rating: number;
  comments?: string | null;
  issues?: string[];
}

/** A whole plan at once. */
export interface GraphDocument {
  plan: string;
  name: string;
  version: number;
  /** the journal's sequence it is true for: follow the events from here */
  seq: number;
  progress: number;
  estimate_usd: number | null;
  actual_usd: number;
  finish_hours: number;
  critical_path: string[];
  items: GraphItem[];
  /** items of other plans that items here wait for */
  outside: ItemName[];
}

/** What a drawing needs of an item. */
export interface GraphItem {
  id: string;
  key: string;
  kind: "epic" | "feature" | "story" | "task" | "subtask" | "atomic";
  parent: string | null;
  rank: number;
  title: string;
  status: "todo" | "ready" | "running" | "needs_you" | "blocked" | "done" | "failed" | "cancelled";
  reason: string | null;
  assignee: string | null;
  depends_on: string[];
  estimate_usd: number | null;
  actual_usd: number;
  estimate_hours: number | null;
  start_hours: number;
  finish_hours: number;
  progress: number;
  critical: boolean;
  run_ids: string[];
}

/** Alive, or ready. */
export interface Health {
  status: "ok";
}

/** Whether a provider can be used. */
export interface HealthDocument {
  provider: string;
  status: "ready" | "unconfigured" | "unreachable" | "refused" | "broken";
  detail: string;
  hint: string | null;
  parts: HealthParts;
  /** while it has told us to wait */
  limited_until: string | null;
}

/** What health consists of. */
export interface HealthParts {
  connectivity: "ok" | "failing" | "unknown";
  authentication: "ok" | "failing" | "unknown";
  rate_limit: "ok" | "failing" | "unknown";
  dependencies: "ok" | "failing" | "unknown";
}

/** A place where messages come in. */
export interface HookDocument {
  name: string;
  verify: "standard" | "github" | "bearer";
  events: string[];
  workflow: string | null;
  signal: string | null;
  project: string;
  problem: string | null;
}

/** A message that came in. */
export interface HookMessage {
  hook: string;
  delivery_id: string;
  received_at: string;
  size_bytes: number;
  status: "taken" | "done" | "ignored" | "failed";
  run_id: string | null;
  error: string | null;
}

/** Messages that came in, newest first. */
export interface HookMessagePage {
  items: HookMessage[];
}

/** Places where messages come in, from the settings. */
export interface HookPage {
  items: HookDocument[];
}

/** What was done with a message. */
export interface HookTaken {
  status: "accepted" | "ignored" | "duplicate";
  /** the id by which it is known */
  delivery: string;
  run_id: string | null;
}

/** Hours of work from now. */
export interface Hours {
  before: number;
  after: number;
}

/** What became of an import, line by line. */
export interface ImportReport {
  imported: number;
  failed: number;
  items: ImportedLine[];
}

/** What became of a line. */
export interface ImportedLine {
  /** counted from 1 */
  line: number;
  /** the id of the plan it made */
  plan: string | null;
  /** why it made none */
  problems: Record<string, unknown>[];
}

/** What becomes of one item; `item` is null for the plan itself. */
export interface ItemChangeDocument {
  item: string | null;
  key: string;
  kind: string;
  title: string;
  change: "added" | "removed" | "changed";
  fields: Record<string, FieldChangeDocument>;
}

/** A work item; figures of an item with children are those of everything below it. */
export interface ItemDocument {
  id: string;
  plan: string;
  key: string;
  kind: "epic" | "feature" | "story" | "task" | "subtask" | "atomic";
  parent: string | null;
  /** its place among its siblings; lower stands first */
  rank: number;
  children: number;
  title: string;
  description: string;
  status: "todo" | "ready" | "running" | "needs_you" | "blocked" | "done" | "failed" | "cancelled";
  /** why it is blocked or failed */
  reason: string | null;
  priority: number;
  phase: string | null;
  target_version: string | null;
  assignee: string | null;
  labels: string[];
  acceptance: CriterionDocument[];
  brief: Record<string, unknown>;
  /** as it was given for this item */
  estimate: EstimateDocument;
  /** rolled up from below; its own where nothing below has one */
  planned: EstimateDocument;
  actual: ActualDocument;
  /** the share that is done, weighted by estimated hours */
  progress: number;
  /** how many items without children stand how */
  statuses: Record<string, number>;
  depends_on: string[];
  /** what must be done before it starts, its parents' included */
  waits_for: ItemName[];
  /** earliest start, in hours of work from now */
  start_hours: number;
  /** earliest finish, in hours of work from now */
  finish_hours: number;
  /** how late it may be without moving the plan's finish; null when done */
  slack_hours: number | null;
  critical: boolean;
  runs: ItemRunDocument[];
  created_at: string;
  updated_at: string;
}

/** The fields of an item that can be set; those left out stay as they are. */
export interface ItemFields {
  title?: string | null;
  description?: string | null;
  /** only of an item without children */
  status?: "todo" | "running" | "needs_you" | "blocked" | "done" | "failed" | "cancelled" | null;
  /** why it is blocked or failed */
  reason?: string | null;
  /** 1 is the highest */
  priority?: number | null;
  phase?: string | null;
  target_version?: string | null;
  estimate?: EstimateFields | null;
  assignee?: string | null;
  labels?: string[] | null;
  acceptance?: AcceptanceCriterion[] | null;
  brief?: Brief | null;
}

/** An item, by name. */
export interface ItemName {
  id: string;
  plan: string;
  key: string;
  title: string;
  status: "todo" | "ready" | "running" | "needs_you" | "blocked" | "done" | "failed" | "cancelled";
}

/** A page of items, in the order of their keys and ranks: parents before children. */
export interface ItemPage {
  items: SparseItem[];
  next_cursor: string | null;
  version: number;
}

/** A run that was started for an item. */
export interface ItemRun {
  run: RunDocument;
  item: ItemDocument;
}

/** A run that works, or worked, on an item. */
export interface ItemRunDocument {
  run_id: string;
  workflow: string;
  /** as of the run, `waiting` while it needs a person */
  status: string;
  actual: ActualDocument;
  linked_at: string;
  linked_by: string;
  started_at: string | null;
  finished_at: string | null;
}

/** Where the journal ends. */
export interface JournalDocument {
  /** sequence number of the newest event; 0 when there is none */
  head: number;
}

/** A budget of the key's own. */
export interface KeyBudget {
  period?: "total" | "day" | "month";
  usd?: number | null;
  tokens?: number | null;
  /** percents */
  alert_at?: number[] | null;
}

/** A key; its secret is shown when it is made, never again. */
export interface KeyDocument {
  id: string;
  name: string;
  tenant: string;
  project: string;
  prefix: string;
  status: "active" | "expired" | "revoked";
  models: string[];
  routes: string[];
  scopes: string[];
  limits: Limits;
  created_at: string;
  created_by: string;
  expires_at: string | null;
  revoked_at: string | null;
  old_secret_until: string | null;
}

/** Keys, newest first. */
export interface KeyPage {
  items: KeyDocument[];
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** A key and the budgets it has of its own. */
export interface KeyWithBudgets {
  id: string;
  name: string;
  tenant: string;
  project: string;
  prefix: string;
  status: "active" | "expired" | "revoked";
  models: string[];
  routes: string[];
  scopes: string[];
  limits: Limits;
  created_at: string;
  created_by: string;
  expires_at: string | null;
  revoked_at: string | null;
  old_secret_until: string | null;
  budgets: BudgetDocument[];
}

/** What a process that is gone had leased. */
export interface LeaseDocument {
  budget: string;
  scope: "tenant" | "project" | "run" | "agent" | "key";
  subject: string | null;
  period: string;
  holder: string;
  usd: number;
  tokens: number;
  last_seen: string | null;
}

/** Leases of processes that are gone. */
export interface LeasePage {
  items: LeaseDocument[];
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** A limit on each tool that fits, for each tenant. */
export interface LimitDocument {
  tool: string;
  requests_per_minute: number | null;
  concurrency: number | null;
  tenants: string[];
}

/** How much at once; null where there is no limit. */
export interface Limits {
  requests_per_minute?: number | null;
  tokens_per_minute?: number | null;
  concurrency?: number | null;
}

/** Have an item wait for another one, of any plan of the tenant. */
export interface Link {
  op: "link";
  /** an item: its id, its key, `<plan id>:<key>` for one of another plan, or the `ref` of an earlier `add` */
  item: string;
  /** an item: its id, its key, `<plan id>:<key>` for one of another plan, or the `ref` of an earlier `add` */
  depends_on: string;
}

/** A figure that an epic wants to reach. */
export interface Metric {
  name: string;
  target: string;
  current?: string | null;
}

/** A model that requests can name. */
export interface ModelDocument {
  /** provider:model */
  id: string;
  provider: string;
  model: string;
  /** its provider can be used now */
  ready: boolean;
  capabilities: string[];
  context_tokens: number | null;
  input_usd_per_mtok: number | null;
  output_usd_per_mtok: number | null;
  local: boolean;
  region: string | null;
  residency: string[];
  compliance: string[];
  quality: number;
}

/** The models, by name. */
export interface ModelPage {
  items: ModelDocument[];
  /** providers that were asked for their models and did not answer */
  unanswered: string[];
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** Move an item with everything below it: to another parent, where its key becomes the next free one, or among its siblings. */
export interface Move {
  /** stand before this sibling */
  before?: string | null;
  /** stand after this sibling; last without either */
  after?: string | null;
  op: "move";
  /** an item: its id, its key, `<plan id>:<key>` for one of another plan, or the `ref` of an earlier `add` */
  item: string;
  /** where to; it stays under its parent without */
  parent?: string | null;
}

/** The fields of a new item. */
export interface NewItemFields {
  title: string;
  description?: string | null;
  /** only of an item without children */
  status?: "todo" | "running" | "needs_you" | "blocked" | "done" | "failed" | "cancelled" | null;
  /** why it is blocked or failed */
  reason?: string | null;
  /** 1 is the highest */
  priority?: number | null;
  phase?: string | null;
  target_version?: string | null;
  estimate?: EstimateFields | null;
  assignee?: string | null;
  labels?: string[] | null;
  acceptance?: AcceptanceCriterion[] | null;
  brief?: Brief | null;
}

/** A key with its secret. */
export interface NewKeyDocument {
  id: string;
  name: string;
  tenant: string;
  project: string;
  prefix: string;
  status: "active" | "expired" | "revoked";
  models: string[];
  routes: string[];
  scopes: string[];
  limits: Limits;
  created_at: string;
  created_by: string;
  expires_at: string | null;
  revoked_at: string | null;
  old_secret_until: string | null;
  secret: string;
}

/** A webhook with its secret, which nothing shows again. */
export interface NewWebhookDocument {
  id: string;
  name: string;
  url: string;
  events: string[];
  project: string | null;
  form: "event" | "artifacts";
  at_once: number;
  status: "active" | "disabled";
  /** why it is not active */
  reason: string | null;
  /** attempts that failed since the last one that arrived */
  failures: number;
  failing_since: string | null;
  /** how far the journal has been looked through for it */
  seq: number;
  /** events that have not been looked at yet */
  behind: number;
  /** deliveries that wait for an attempt */
  waiting: number;
  /** deliveries that were given up */
  dead: number;
  /** why this server cannot sign for it */
  problem: string | null;
  old_secret_until: string | null;
  version: number;
  created_at: string;
  created_by: string;
  updated_at: string;
  /** verifies signatures: https://www.standardwebhooks.com */
  secret: string;
}

/** What the caller of a run may choose. */
export interface Options {
  /** provider:model for every agent */
  model?: string | null;
  /** hard budget in dollars */
  usd?: number | null;
  /** hard budget in tokens */
  tokens?: number | null;
  /** folder or git repository on the server, its whole path */
  workspace_source?: string | null;
  /** the same for child workflows, by the content hash of their definitions */
  workspace_sources?: Record<string, string> | null;
  /** lower starts earlier */
  priority?: number;
  /** makes a repeated start one start */
  run_id?: string | null;
}

/** An agent of a workflow. */
export interface OutlineAgent {
  name: string;
  description: string;
  model: string[];
  tools: string[];
  handoffs: string[];
}

/** Steps inside a step: a branch, a case, what happens when it fails. */
export interface OutlineBlock {
  /** empty for the step's own steps */
  label: string;
  steps: OutlineStep[];
}

/** Bounds of a run; null where the workflow sets none. */
export interface OutlineLimits {
  usd: number | null;
  tokens: number | null;
  duration_s: number | null;
}

/** A step as a drawing needs it. */
export interface OutlineStep {
  name: string;
  /** its place in the definition, as events name it in `data.step` */
  path: string;
  kind: string;
  /** the tool, the command, the question, in a line */
  detail: string;
  description: string;
  agents: string[];
  /** it is done only if this is true */
  condition: string | null;
  needs: string[];
  /** the step it goes back to when it fails */
  goto: string | null;
  /** its blocks are done at the same time */
  parallel: boolean;
  blocks: OutlineBlock[];
}

/** Ids of the items that decide the finish. */
export interface Paths {
  before: string[];
  after: string[];
}

/** A permission. */
export interface PermissionDocument {
  name: string;
  effect: "permit" | "forbid";
}

/** What is approved of a tool. */
export interface PinDocument {
  name: string;
  server: string;
  tool: string;
  state: string;
  digest: string;
  offered_digest: string | null;
  reason: string | null;
  vanished_at: string | null;
  changed_at: string;
  decided_by: string | null;
}

/** A plan and where it stands. */
export interface PlanDocument {
  id: string;
  tenant: string;
  project: string;
  name: string;
  description: string;
  /** counted up by each change; also the ETag */
  version: number;
  /** how many there are of each kind */
  items: Record<string, number>;
  /** how many items without children stand how */
  statuses: Record<string, number>;
  progress: number;
  /** shares of the estimated work, which add up to 1 */
  progress_by_status: Record<string, number>;
  estimate: EstimateDocument;
  actual: ActualDocument;
  /** earliest finish of what is left, in hours of work from now */
  finish_hours: number;
  /** the same as a time, when work goes on without pause; null when done */
  finish_at: string | null;
  /** ids of the items that decide the finish, in order */
  critical_path: string[];
  created_at: string;
  created_by: string;
  updated_at: string;
}

/** The fields of a plan that can be set. */
export interface PlanFields {
  name?: string | null;
  description?: string | null;
}

/** A page of plans, newest first. */
export interface PlanPage {
  items: PlanDocument[];
  next_cursor: string | null;
}

/** A plan was removed. */
export interface PlanRemoved {
  id: string;
  removed: boolean;
}

/** The policy in force. */
export interface PolicyDocument {
  /** the hash of its files; null when there are none */
  version: string | null;
  files: string[];
  rules: mosaic__api__policy_schemas__RuleDocument[];
  /** null when everything is permitted */
  permissions: PermissionDocument[] | null;
  limits: LimitDocument[];
}

/** Something that is wrong in a file. */
export interface PolicyProblem {
  message: string;
  path: string;
  file: string;
  line: number;
  column: number;
  suggestion: string | null;
}

/** The rules of the file and the standing rules, these newest first. */
export interface PolicyRulesPage {
  version: string | null;
  items: mosaic__api__policy_schemas__RuleDocument[];
  standing: StandingRuleDocument[];
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** A policy that was in force. */
export interface PolicyVersionDocument {
  version: string;
  files: string[];
  rules: number;
  first_used_at: string;
}

/** A policy that was in force, with its files. */
export interface PolicyVersionFiles {
  version: string;
  files: string[];
  rules: number;
  first_used_at: string;
  content: Record<string, string>;
}

/** The versions that were in force, newest first. */
export interface PolicyVersionPage {
  current: string | null;
  items: PolicyVersionDocument[];
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** A yes that is looked at before it is given. */
export interface Preview {
  /** run the tool with these arguments instead */
  arguments?: Record<string, unknown> | null;
  /** or change single places: dotted place -> value */
  set?: Record<string, unknown> | null;
  /** how long the yes holds: this call, the rest of the run, until it is revoked */
  scope?: "once" | "run" | "always";
  /** argument -> what it must be like (`src/**`), for a yes that lasts; empty: the same arguments */
  match?: Record<string, unknown> | null;
}

/** A tenant's own price, in dollars for a million tokens. */
export interface PriceDocument {
  model: string;
  input_usd_per_mtok: number;
  output_usd_per_mtok: number;
  cached_input_usd_per_mtok: number;
  cache_write_usd_per_mtok: number;
  source: string;
  as_of: string;
}

/** A tenant's own prices, and what models cost it. */
export interface PricePage {
  items: PriceDocument[];
  models: Record<string, unknown>[];
  list: string;
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** RFC 9457 problem details, with the stable code and data of the error tree. */
export interface ProblemDocument {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
  /** stable; programs decide by it */
  code: string;
  /** the next step, for a person */
  hint?: string | null;
  data?: Record<string, unknown> | null;
  /** everything that is wrong, with its place */
  problems?: Record<string, unknown>[] | null;
}

/** A project. */
export interface ProjectDocument {
  name: string;
  plans: number;
  /** model calls, ever */
  calls: number;
  /** what they cost */
  usd: number;
}

/** Projects, by name. */
export interface ProjectPage {
  items: ProjectDocument[];
  next_cursor: string | null;
}

/** A provider instance, its plugin's manifest, and what it can do. */
export interface ProviderDocument {
  name: string;
  plugin: string;
  version: string | null;
  kinds: ("ai" | "git" | "ci" | "knowledge" | "projects" | "automation")[];
  origin: string | null;
  attributes: Record<string, unknown>;
  status: "ready" | "unconfigured" | "unreachable" | "refused" | "broken";
  detail: string;
  hint: string | null;
  parts: HealthParts;
  limited_until: string | null;
  versions: VersionDocument[];
  /** of its worst model; null when none was asked yet */
  breaker: "closed" | "half_open" | "open" | null;
  /** what is known of its key's limits */
  rate_limit: Record<string, unknown> | null;
  /** its models that were asked since the start */
  targets: TargetFigures[];
  /** the last attempt to heal it, step by step */
  healing: Record<string, unknown> | null;
  manifest: Record<string, unknown> | null;
  /** operation -> level and reason */
  capabilities: Record<string, Record<string, unknown>> | null;
  /** why it cannot be asked */
  capabilities_error: string | null;
}

/** The providers. */
export interface ProviderPage {
  items: ProviderRow[];
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** A provider instance: a plugin under a name. */
export interface ProviderRow {
  name: string;
  plugin: string;
  version: string | null;
  kinds: ("ai" | "git" | "ci" | "knowledge" | "projects" | "automation")[];
  origin: string | null;
  attributes: Record<string, unknown>;
  status: "ready" | "unconfigured" | "unreachable" | "refused" | "broken";
  detail: string;
  hint: string | null;
  parts: HealthParts;
  limited_until: string | null;
  versions: VersionDocument[];
  /** of its worst model; null when none was asked yet */
  breaker: "closed" | "half_open" | "open" | null;
  /** what is known of its key's limits */
  rate_limit: Record<string, unknown> | null;
  /** its models that were asked since the start */
  targets: TargetFigures[];
  /** the last attempt to heal it, step by step */
  healing: Record<string, unknown> | null;
}

/** What to forget; everything of the tenant when neither is named. */
export interface PurgeCache {
  route?: string | null;
  tag?: string | null;
}

/** How many entries are gone, as far as the tiers know. */
export interface PurgedDocument {
  forgotten: number;
}

/** Why a tool is stopped. */
export interface QuarantineTool {
  reason?: string;
}

/** What the leases of processes that are gone count for. */
export interface Reconcile {
  as_spent: boolean;
}

/** Leases that were ended. */
export interface Reconciled {
  items: LeaseDocument[];
  as_spent: boolean;
}

/** A no; the agent reads the note. */
export interface Reject {
  note?: string | null;
}

/** What a reload did. */
export interface ReloadDocument {
  snapshot: number;
  added: string[];
  changed: string[];
  removed: string[];
  /** calls that go on at replaced providers */
  draining: number;
}

/** Remove an item with everything below it. */
export interface Remove {
  op: "remove";
  /** an item: its id, its key, `<plan id>:<key>` for one of another plan, or the `ref` of an earlier `add` */
  item: string;
}

/** Something was removed. */
export interface Removed {
  id: string;
  removed: boolean;
}

/** From where everything is told again. */
export interface Replay {
  /** the journal sequence after which it begins */
  after: number;
}

/** Work that was started again. */
export interface Requeued {
  type: "result";
  execution_id: string;
  run_id: string;
  status: "queued";
}

/** Something that was required, and who required it. */
export interface Requirement {
  by: string;
  what: string;
}

/** What may go wrong, and what is done about it. */
export interface Risk {
  risk: string;
  level?: "high" | "medium" | "low";
  mitigation?: string;
}

/** How long the old secret stays good. */
export interface Rotate {
  grace_s?: number | null;
}

/** How long the old secret signs, too. */
export interface RotateWebhook {
  overlap_s?: number;
}

/** A route, and where it leads. */
export interface RouteDocument {
  name: string;
  kind: "ai" | "git" | "ci" | "knowledge" | "projects" | "automation";
  description: string;
  strategy: string;
  targets: string[];
  fallback: string[];
  learned: "off" | "shadow" | "on";
  windows: string[];
  policy: Record<string, unknown>;
}

/** The routes and rules in force. */
export interface RoutePage {
  items: RouteDocument[];
  rules: mosaic__api__provider_schemas__RuleDocument[];
  default: Record<string, unknown>;
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** What became of a rule for a call. */
export interface RuleLook {
  name: string;
  effect: "allow" | "ask" | "deny";
  place: string;
  fits: boolean;
  /** it could not be evaluated, so the call is refused */
  failed: boolean;
  /** what does not fit */
  why: string | null;
}

/** A rule that was looked at. */
export interface RuleSeen {
  name: string;
  priority: number;
  came_to: string;
  reason: string;
}

/** What a run and its child runs have cost so far. */
export interface RunCost {
  usd: number;
  limit_usd: number | null;
  /** answered model calls */
  calls: number;
  tokens: number;
  /** calls whose price nobody knows; usd does not hold them */
  unpriced_calls: number;
  /** some answers came from a script, not from a model */
  scripted: boolean;
}

/** A run of a workflow. */
export interface RunDocument {
  id: string;
  tenant: string;
  project: string;
  workflow: string;
  version: string;
  definition_hash: string;
  status: "queued" | "running" | "waiting" | "succeeded" | "failed" | "cancelled";
  inputs: Record<string, unknown>;
  options: Record<string, unknown>;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  outputs: unknown;
  error: Record<string, unknown> | null;
  /** path, repository, branch, base_commit, and commit once there is one */
  workspace: Record<string, unknown> | null;
  root_run_id: string;
  parent_run_id: string | null;
  forked_from: string | null;
  /** ids of the approvals it waits for */
  approvals: string[];
  cost: RunCost;
  link: string | null;
}

/** What shall work on an item. */
export interface RunItem {
  /** the name or content hash of a workflow that ran before */
  workflow?: string | null;
  /** or a workflow bundle, as `mosaic run` sends it */
  bundle?: Record<string, unknown> | null;
  inputs?: Record<string, unknown>;
  options?: Options;
  /** although something that the item waits for is not done */
  force?: boolean;
}

/** A page of runs, newest first. */
export interface RunPage {
  items: RunDocument[];
  next_cursor: string | null;
}

/** What could be saved in a month. */
export interface SavingsDocument {
  savings: Record<string, unknown>[];
  by_category: Record<string, number>;
  monthly_usd: number;
}

/** Figures of a month from elsewhere. */
export interface SavingsFigures {
  /** minutes, large_builds, bandwidth_gb and their prices */
  ci?: Record<string, number> | null;
  /** category, advice, monthly_usd */
  items?: Record<string, unknown>[];
}

/** A server that was just registered, and its tools. */
export interface ServerAdded {
  server: ServerDocument;
  tools: ToolRow[];
}

/** A registered MCP server. */
export interface ServerDocument {
  name: string;
  command: string[];
  url: string | null;
  headers: Record<string, string>;
  environment: Record<string, string>;
  trust_annotations: boolean;
  confined: boolean;
  accept_new: boolean;
  start_timeout_s: number;
  tools: string[];
  created_at: string | null;
  created_by: string | null;
}

/** Registered servers. */
export interface ServerPage {
  items: ServerWithStates[];
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** A server and how its tools stand. */
export interface ServerWithStates {
  name: string;
  command: string[];
  url: string | null;
  headers: Record<string, string>;
  environment: Record<string, string>;
  trust_annotations: boolean;
  confined: boolean;
  accept_new: boolean;
  start_timeout_s: number;
  tools: string[];
  created_at: string | null;
  created_by: string | null;
  states: Record<string, number>;
}

/** Who is signed in; all but `signed_in` is null when nobody is. */
export interface SessionDocument {
  signed_in: boolean;
  tenant: string | null;
  project: string | null;
  actor: string | null;
  /** null for a caller with a token */
  expires_at: string | null;
}

/** A budget; there is one for each scope, subject and period. */
export interface SetBudget {
  scope: "tenant" | "project" | "run" | "agent" | "key";
  /** the project, run, agent or key */
  subject?: string | null;
  period?: "total" | "day" | "month";
  usd?: number | null;
  tokens?: number | null;
  /** percents */
  alert_at?: number[] | null;
}

/** A price in dollars for a million tokens; what is not given for the cache costs the same as other input. */
export interface SetPrice {
  /** provider:model, with * and ? as wildcards */
  model: string;
  input_usd_per_mtok: number;
  output_usd_per_mtok: number;
  cached_input_usd_per_mtok?: number | null;
  cache_write_usd_per_mtok?: number | null;
  /** where the price stands */
  source: string;
  valid_from?: string | null;
}

/** One of both. */
export interface SignIn {
  /** from `mosaic up`; good once */
  code?: string | null;
  /** the owner's token */
  token?: string | null;
}

/** A signal that was delivered. */
export interface SignalSent {
  run_id: string;
  signal: string;
}

/** Where an approval stands after a signed answer. */
export interface SignedAnswerTaken {
  id: string;
  status: "pending" | "approved" | "rejected" | "expired";
  decided_by: string | null;
  votes: VoteDocument[];
  quorum: number;
}

/** A file of a workflow: `text`, or `base64` where it is no text. */
export interface SourceFile {
  path: string;
  text: string | null;
  base64: string | null;
}

/** A work item, or those of its fields that were asked for. */
export interface SparseItem {
  id: string;
  plan: string;
  key: string;
  kind: "epic" | "feature" | "story" | "task" | "subtask" | "atomic";
  parent: string | null;
  rank: number;
  children: number;
  title: string;
  description: string;
  status: "todo" | "ready" | "running" | "needs_you" | "blocked" | "done" | "failed" | "cancelled";
  reason: string | null;
  priority: number;
  phase: string | null;
  target_version: string | null;
  assignee: string | null;
  labels: string[];
  acceptance: CriterionDocument[];
  brief: Record<string, unknown>;
  estimate: EstimateDocument;
  planned: EstimateDocument;
  actual: ActualDocument;
  progress: number;
  statuses: Record<string, number>;
  depends_on: string[];
  waits_for: ItemName[];
  start_hours: number;
  finish_hours: number;
  slack_hours: number | null;
  critical: boolean;
  runs: ItemRunDocument[];
  created_at: string;
  updated_at: string;
}

/** A yes that lasts. */
export interface StandingRuleDocument {
  id: string;
  project: string;
  tool: string;
  /** which arguments it holds for; null for any */
  arguments: Record<string, unknown> | null;
  scope: "run" | "always";
  run_id: string;
  approval: string;
  roles: string[];
  quorum: number;
  created_at: string;
  created_by: string;
  revoked_at: string | null;
  revoked_by: string | null;
}

/** What an example is started with. */
export interface StartExample {
  inputs?: Record<string, unknown>;
}

/** A workflow bundle, as `mosaic run` sends it, with inputs and options. */
export interface StartRun {
  /** definition and every file it refers to */
  bundle: Record<string, unknown>;
  inputs?: Record<string, unknown>;
  options?: Options;
}

/** What a workflow is started with. */
export interface StartWorkflow {
  inputs?: Record<string, unknown>;
  options?: Options;
}

/** A step of a run, as its newest try went. */
export interface StepDocument {
  /** unique in the run */
  path: string;
  name: string;
  /** its path in the definition */
  step: string | null;
  kind: string | null;
  agent: string | null;
  status: "running" | "completed" | "failed" | "skipped" | "cancelled";
  /** how often it began; 0 when it was skipped */
  tries: number;
  started_at: string | null;
  finished_at: string | null;
  duration_ms: number | null;
  /** a long one is cut and says so */
  output: unknown;
  error: Record<string, unknown> | null;
  /** why it was skipped, cancelled or tried again */
  reason: string | null;
}

/** Steps of a run, in the order in which they began. */
export interface StepPage {
  items: StepDocument[];
  /** the run has more steps than are shown */
  truncated: boolean;
  next_cursor: string | null;
}

/** What is commented on. */
export interface SubjectBody {
  kind: "run" | "item" | "approval" | "plan";
  id: string;
  /** of an item: the plan it is in */
  plan_id?: string | null;
}

/** What something is about. */
export interface SubjectDocument {
  kind: "run" | "item" | "approval" | "plan";
  id: string;
}

/** What this installation consists of. */
export interface SystemDocument {
  nodes: Record<string, unknown>[];
  database: Record<string, string | null>;
  providers: Record<string, unknown>[];
}

/** A model's figures in this process since its start. */
export interface TargetFigures {
  id: string;
  active: number;
  /** jumps up at once, comes down slowly */
  latency_s: number;
  first_byte_s: number;
  /** share of failures, recent ones first */
  error_rate: number;
  finished: number;
  failed: number;
  breaker: "closed" | "half_open" | "open";
  /** when an open breaker lets a call try */
  retry_in_s: number | null;
  /** how often the breaker opened */
  opened: number;
  /** 1 and above: it is about to fail, by the trend */
  risk: number;
}

/** Tests of a policy. */
export interface TestPolicy {
  /** YAML, as in policy-tests.yaml */
  cases: string;
  /** file name (policy.yaml, permissions.cedar) -> content, instead of what is in force */
  files?: Record<string, string> | null;
}

/** What became of the cases. */
export interface TestedPolicy {
  version: string | null;
  passed: number;
  failed: number;
  items: Record<string, unknown>[];
}

/** A ticket that opens one WebSocket: `wss://.../api/v1/ws?ticket=...`. */
export interface TicketDocument {
  /** good once, at the node that gave it out */
  ticket: string;
  expires_in_s: number;
}

/** Where a call that had to wait stands. */
export interface ToolCallDocument {
  id: string;
  state: string;
  created_at: string;
  changed_at: string;
  approval: string | null;
  result: Record<string, unknown> | null;
  error: Record<string, unknown> | null;
}

/** How a call went: `completed`, or `waiting` for a person. */
export interface ToolCalled {
  status: string;
  result: Record<string, unknown> | null;
  approval: string | null;
  call_id: string | null;
}

/** A tool with its schemas, and how it differs from what is approved. */
export interface ToolDocument {
  name: string;
  description: string;
  risk: string | null;
  effects: string[];
  source: string;
  /** built-in, pinned, new, quarantined or vanished */
  state: string;
  reason: string | null;
  /** what is suspicious in its texts */
  findings: string[];
  pin: PinDocument | null;
  difference: string | null;
  timeout_s: number | null;
  input_schema: Record<string, unknown> | null;
  output_schema: Record<string, unknown> | null;
  approved_definition: Record<string, unknown> | null;
}

/** Tools, and servers that could not be asked. */
export interface ToolPage {
  items: ToolRow[];
  unreachable: Record<string, unknown>;
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** A tool in a list. */
export interface ToolRow {
  name: string;
  description: string;
  risk: string | null;
  effects: string[];
  source: string;
  /** built-in, pinned, new, quarantined or vanished */
  state: string;
  reason: string | null;
  /** what is suspicious in its texts */
  findings: string[];
}

/** What to take back a change set for. */
export interface UndoChange {
  base_version?: number | null;
  note?: string;
}

/** Have an item no longer wait for another one. */
export interface Unlink {
  op: "unlink";
  /** an item: its id, its key, `<plan id>:<key>` for one of another plan, or the `ref` of an earlier `add` */
  item: string;
  /** an item: its id, its key, `<plan id>:<key>` for one of another plan, or the `ref` of an earlier `add` */
  depends_on: string;
}

/** Set fields of an item; null clears one. */
export interface Update {
  op: "update";
  /** an item: its id, its key, `<plan id>:<key>` for one of another plan, or the `ref` of an earlier `add` */
  item: string;
  set: ItemFields;
}

/** Set fields of the plan itself. */
export interface UpdatePlan {
  op: "update_plan";
  set: PlanFields;
}

/** The fields to set. */
export interface UpdatePlanFields {
  name?: string | null;
  description?: string | null;
}

/** What is to be different; what is left out, or null, stays. Only `project` null means every project. */
export interface UpdateWebhook {
  url?: string | null;
  events?: string[] | null;
  project?: string | null;
  at_once?: number | null;
  enabled?: boolean | null;
}

/** Usage by dimensions, dearest first, and the sum of all. */
export interface UsagePage {
  by: string[];
  items: Record<string, unknown>[];
  total: Record<string, unknown>;
  /** continues the page; null at the end */
  next_cursor: string | null;
}

/** A workflow bundle to check. */
export interface Validate {
  bundle: Record<string, unknown>;
}

/** What is wrong with a workflow; nothing when it is valid. */
export interface Validation {
  valid: boolean;
  name?: string | null;
  content_hash?: string | null;
  problems?: Record<string, unknown>[];
}

/** One version of a plugin that serves an instance. */
export interface VersionDocument {
  pin: string;
  /** null until its code was loaded */
  version: string | null;
  weight: number;
  /** calls that run on it now */
  in_flight: number;
}

/** Somebody who looks at something now. */
export interface ViewerDocument {
  id: string;
  actor: string;
  subject: SubjectDocument;
  since: string;
}

/** Who looks, the longest first. */
export interface ViewerPage {
  items: ViewerDocument[];
}

/** One person's answer. */
export interface VoteDocument {
  actor: string;
  approve: boolean;
  voted_at: string;
  note: string | null;
  /** the yes is for other arguments than those that were asked about */
  edited: boolean;
  scope: "once" | "run" | "always";
}

/** Which hour to get ready for. */
export interface WarmCache {
  hours_ahead?: number;
}

/** What is in memory now, and what no tier has any more. */
export interface WarmedDocument {
  warm: number;
  missing: number;
}

/** The webhooks of the settings. */
export interface WebhookPage {
  items: mosaic__api__schemas__WebhookDocument[];
}

/** What was removed. */
export interface WebhookRemoved {
  id: string;
  name: string;
  removed: true;
}

/** Webhooks. */
export interface WebhookSubscriptionPage {
  items: mosaic__api__webhook_schemas__WebhookDocument[];
  next_cursor: string | null;
}

/** What came of a message that was sent now. */
export interface WebhookTested {
  arrived: boolean;
  /** the HTTP status */
  answer: number | null;
  error: string | null;
  took_s: number;
}

/** A workflow as one hash names it for ever: its steps and its source. */
export interface WorkflowDocument {
  name: string;
  version: string;
  description: string;
  content_hash: string;
  /** JSON schema of its inputs */
  inputs: Record<string, unknown>;
  steps: OutlineStep[];
  /** path of the definition among the files */
  entry: string;
  files: SourceFile[];
}

/** A workflow, drawn. */
export interface WorkflowOutline {
  name: string;
  version: string;
  description: string;
  content_hash: string;
  /** it came along */
  example: boolean;
  /** JSON schema of its inputs */
  inputs: Record<string, unknown>;
  works_on_folder: boolean;
  agent_names: string[];
  /** all of them, those inside others too */
  step_count: number;
  steps: OutlineStep[];
  agents: OutlineAgent[];
  policies: Record<string, string>;
  limits: OutlineLimits;
  /** the folder it works on unless another is named */
  workspace_source: string | null;
  /** the latest, newest first */
  runs: RunDocument[];
}

/** Workflows, by name. */
export interface WorkflowPage {
  items: WorkflowRow[];
  next_cursor: string | null;
}

/** A workflow that can be started by its name. */
export interface WorkflowRow {
  name: string;
  version: string;
  description: string;
  content_hash: string;
  /** it came along */
  example: boolean;
  /** JSON schema of its inputs */
  inputs: Record<string, unknown>;
  works_on_folder: boolean;
  agent_names: string[];
  /** all of them, those inside others too */
  step_count: number;
}

/** The workflows, by name. */
export interface WorkflowRows {
  items: WorkflowRow[];
}

/** A new comment. */
export interface WriteComment {
  subject: SubjectBody;
  /** Markdown, kept as it is: whoever shows it renders it */
  body: string;
  /** a comment on the same thing */
  reply_to?: string | null;
}

/** A rule of the policy's file. */
export interface mosaic__api__policy_schemas__RuleDocument {
  name: string;
  effect: "allow" | "ask" | "deny";
  match: Record<string, unknown>;
  when: string | null;
  reason: string;
  expires_at: string | null;
  place: string;
}

/** A rule, by priority. */
export interface mosaic__api__provider_schemas__RuleDocument {
  name: string;
  priority: number;
  route: string | null;
  targets: string[];
  strategy: string | null;
  reason: string;
}

/** A place that is told of approvals and may answer them. */
export interface mosaic__api__schemas__WebhookDocument {
  name: string;
  /** where it is told; null: it only answers */
  host: string | null;
  events: string[];
  /** what it answers as; none: it may not */
  roles: string[];
  /** what is wrong with its secret */
  problem: string | null;
  /** events it is still to be told */
  waiting: number;
  /** events it was not told after every attempt failed */
  given_up: number;
  /** why the newest failed delivery did */
  error: string | null;
}

/** An address that is told of events. */
export interface mosaic__api__webhook_schemas__WebhookDocument {
  id: string;
  name: string;
  url: string;
  events: string[];
  project: string | null;
  form: "event" | "artifacts";
  at_once: number;
  status: "active" | "disabled";
  /** why it is not active */
  reason: string | null;
  /** attempts that failed since the last one that arrived */
  failures: number;
  failing_since: string | null;
  /** how far the journal has been looked through for it */
  seq: number;
  /** events that have not been looked at yet */
  behind: number;
  /** deliveries that wait for an attempt */
  waiting: number;
  /** deliveries that were given up */
  dead: number;
  /** why this server cannot sign for it */
  problem: string | null;
  old_secret_until: string | null;
  version: number;
  created_at: string;
  created_by: string;
  updated_at: string;
}

/** Every route that the server has. */
export type Route =
  | "DELETE /api/v1/budgets/{budget_id}"
  | "DELETE /api/v1/comments/{comment_id}"
  | "DELETE /api/v1/cost/prices/{model}"
  | "DELETE /api/v1/mcp-servers/{name}"
  | "DELETE /api/v1/plans/{plan_id}"
  | "DELETE /api/v1/session"
  | "DELETE /api/v1/webhooks/{webhook_id}"
  | "GET /api/v1/agents"
  | "GET /api/v1/approvals"
  | "GET /api/v1/approvals/webhooks"
  | "GET /api/v1/approvals/{approval_id}"
  | "GET /api/v1/artifacts/{artifact_id}"
  | "GET /api/v1/artifacts/{artifact_id}/content"
  | "GET /api/v1/audit"
  | "GET /api/v1/audit/export"
  | "GET /api/v1/board/audit/digest"
  | "GET /api/v1/board/workflows"
  | "GET /api/v1/board/workflows/{name}"
  | "GET /api/v1/budget-leases"
  | "GET /api/v1/budgets"
  | "GET /api/v1/budgets/{budget_id}"
  | "GET /api/v1/cache"
  | "GET /api/v1/comments"
  | "GET /api/v1/comments/{comment_id}"
  | "GET /api/v1/cost/bill"
  | "GET /api/v1/cost/forecast"
  | "GET /api/v1/cost/prices"
  | "GET /api/v1/cost/prices/{model}"
  | "GET /api/v1/cost/usage"
  | "GET /api/v1/dead-letters"
  | "GET /api/v1/events"
  | "GET /api/v1/events/export"
  | "GET /api/v1/events/stream"
  | "GET /api/v1/examples"
  | "GET /api/v1/feedback"
  | "GET /api/v1/hooks"
  | "GET /api/v1/hooks/{name}/messages"
  | "GET /api/v1/journal"
  | "GET /api/v1/keys"
  | "GET /api/v1/keys/{key_id}"
  | "GET /api/v1/mcp-servers"
  | "GET /api/v1/models"
  | "GET /api/v1/plans"
  | "GET /api/v1/plans/export"
  | "GET /api/v1/plans/{plan_id}"
  | "GET /api/v1/plans/{plan_id}/changes"
  | "GET /api/v1/plans/{plan_id}/export"
  | "GET /api/v1/plans/{plan_id}/graph"
  | "GET /api/v1/plans/{plan_id}/items"
  | "GET /api/v1/plans/{plan_id}/items/export"
  | "GET /api/v1/plans/{plan_id}/items/{item_id}"
  | "GET /api/v1/policy"
  | "GET /api/v1/policy/rules"
  | "GET /api/v1/policy/rules/{rule_id}"
  | "GET /api/v1/policy/versions"
  | "GET /api/v1/policy/versions/{version}"
  | "GET /api/v1/presence/{subject_id}"
  | "GET /api/v1/projects"
  | "GET /api/v1/projects/{name}"
  | "GET /api/v1/providers"
  | "GET /api/v1/providers/{name}"
  | "GET /api/v1/routes"
  | "GET /api/v1/runs"
  | "GET /api/v1/runs/export"
  | "GET /api/v1/runs/{run_id}"
  | "GET /api/v1/runs/{run_id}/artifacts"
  | "GET /api/v1/runs/{run_id}/events"
  | "GET /api/v1/runs/{run_id}/events/stream"
  | "GET /api/v1/runs/{run_id}/steps"
  | "GET /api/v1/session"
  | "GET /api/v1/system"
  | "GET /api/v1/tool-calls/{call_id}"
  | "GET /api/v1/tools"
  | "GET /api/v1/tools/{name}"
  | "GET /api/v1/webhooks"
  | "GET /api/v1/webhooks/{webhook_id}"
  | "GET /api/v1/webhooks/{webhook_id}/deliveries"
  | "GET /api/v1/workflow/{execution_id}/status"
  | "GET /api/v1/workflows"
  | "GET /api/v1/workflows/{workflow}"
  | "PATCH /api/v1/comments/{comment_id}"
  | "PATCH /api/v1/plans/{plan_id}"
  | "PATCH /api/v1/webhooks/{webhook_id}"
  | "POST /api/v1/approvals/{approval_id}/approve"
  | "POST /api/v1/approvals/{approval_id}/preview"
  | "POST /api/v1/approvals/{approval_id}/reject"
  | "POST /api/v1/approvals/{approval_id}/webhook"
  | "POST /api/v1/board/workflows/{name}/runs"
  | "POST /api/v1/budget-leases/reconcile"
  | "POST /api/v1/cache/purge"
  | "POST /api/v1/cache/warm"
  | "POST /api/v1/comments"
  | "POST /api/v1/cost/savings"
  | "POST /api/v1/dead-letters/{execution_id}/requeue"
  | "POST /api/v1/examples/{name}/runs"
  | "POST /api/v1/feedback"
  | "POST /api/v1/hooks/{name}"
  | "POST /api/v1/keys"
  | "POST /api/v1/keys/{key_id}/revoke"
  | "POST /api/v1/keys/{key_id}/rotate"
  | "POST /api/v1/mcp-servers"
  | "POST /api/v1/mcp-servers/{name}/pin"
  | "POST /api/v1/plans"
  | "POST /api/v1/plans/import"
  | "POST /api/v1/plans/{plan_id}/changes"
  | "POST /api/v1/plans/{plan_id}/changes/{change_id}/undo"
  | "POST /api/v1/plans/{plan_id}/items/import"
  | "POST /api/v1/plans/{plan_id}/items/{item_id}/run"
  | "POST /api/v1/policy/check"
  | "POST /api/v1/policy/explain"
  | "POST /api/v1/policy/rules/{rule_id}/revoke"
  | "POST /api/v1/policy/test"
  | "POST /api/v1/providers/reload"
  | "POST /api/v1/providers/{name}/check"
  | "POST /api/v1/routes/explain"
  | "POST /api/v1/runs"
  | "POST /api/v1/runs/{run_id}/cancel"
  | "POST /api/v1/runs/{run_id}/fork"
  | "POST /api/v1/runs/{run_id}/signals/{name}"
  | "POST /api/v1/session"
  | "POST /api/v1/session/codes"
  | "POST /api/v1/tool-calls/{call_id}/cancel"
  | "POST /api/v1/tools/{name}/approve"
  | "POST /api/v1/tools/{name}/call"
  | "POST /api/v1/tools/{name}/quarantine"
  | "POST /api/v1/webhooks"
  | "POST /api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver"
  | "POST /api/v1/webhooks/{webhook_id}/replay"
  | "POST /api/v1/webhooks/{webhook_id}/rotate"
  | "POST /api/v1/webhooks/{webhook_id}/test"
  | "POST /api/v1/workflow/execute"
  | "POST /api/v1/workflows/validate"
  | "POST /api/v1/ws/tickets"
  | "PUT /api/v1/budgets"
  | "PUT /api/v1/cost/prices";

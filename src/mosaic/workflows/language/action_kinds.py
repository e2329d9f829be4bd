"""The kinds of step that do something: their keys, and how the file's values become a step."""

from typing import Any

from mosaic.workflows.action_steps import (
    AgentStep,
    Check,
    HttpStep,
    RunStep,
    SetStep,
    ToolStep,
    ValidateStep,
    WorkflowStep,
)
from mosaic.workflows.expressions import ShellTemplate, Template, Value
from mosaic.workflows.language.nodes import MapNode, Node, ScalarNode
from mosaic.workflows.language.policies import POLICIES
from mosaic.workflows.language.reading import Reading, join_pointer
from mosaic.workflows.language.shapes import (
    AnyValue,
    Choice,
    Condition,
    Duration,
    Expression,
    Key,
    ListOf,
    MapOf,
    Obj,
    OneOf,
    Text,
    Whole,
)
from mosaic.workflows.language.step_keys import ALWAYS, BOUNDED, OUTPUT, RETRIED, SCHEMA, TEXT_OR_SECRET
from mosaic.workflows.language.step_shapes import Kind
from mosaic.workflows.step_base import Retry

__all__ = ["ACTIONS", "AGENT_NAME", "TOOL_NAME", "WITH"]

DEFAULT_TIMEOUT_S = 30.0


DEFAULT_COMMAND_TIMEOUT_S = 300.0


AGENT_NAME = Text("the name of an agent", pattern=r"[A-Za-z][A-Za-z0-9_-]{0,47}")


TASK_KIND = Text("a kind of task", pattern=r"[A-Za-z0-9_.-]{1,64}")
TOOL_NAME = Text("the name of a tool", pattern=r"[A-Za-z0-9_.*:/-]{1,128}")


LINK = Text("the name of a workflow file beside this one", example="release.yaml")


WITH = Key(AnyValue(), "What it is given: any value; strings may hold `${...}`.")


class Script:
    """A shell script whose expressions become environment variables."""

    expected = "a command line, or a list of a program and its arguments"

    def accepts(self, node: Node) -> bool:
        """Accept text."""
        return isinstance(node, ScalarNode) and isinstance(node.value, str) and bool(node.value.strip())

    def read(self, node: Node, reading: Reading, pointer: str) -> ShellTemplate:
        """Return the script."""
        scalar = node if isinstance(node, ScalarNode) else ScalarNode(1, 1, 0, 0)
        return reading.script(scalar, pointer)

    def schema(self) -> dict[str, Any]:
        """Return a string schema."""
        return {"type": "string", "minLength": 1}


COMMAND = OneOf((Script(), ListOf(Expression(), low=1, unique=False)), Script.expected)


def _command(value: Any) -> dict[str, Any]:
    if isinstance(value, ShellTemplate):
        return {"shell": value}
    return {"argv": tuple(value or ())}


def _with_defaults(common: dict[str, Any], timeout_s: float | None, retry: Retry | None) -> dict[str, Any]:
    return {"timeout_s": timeout_s, "retry": retry, **common}


def _agent(own: dict[str, Any], common: dict[str, Any]) -> AgentStep:
    return AgentStep(
        agent=own.get("agent", ""),
        with_=own.get("with"),
        tools=own.get("tools"),
        max_turns=own.get("max_turns"),
        policies=own.get("policies"),
        task_kind=own.get("task_kind"),
        **common,
    )


def _tool(own: dict[str, Any], common: dict[str, Any]) -> ToolStep:
    # No timeout of its own: the tool's counts, which a `tools:` entry may set.
    filled = _with_defaults(common, None, Retry())
    return ToolStep(tool=own.get("tool", ""), with_=own.get("with"), **filled)


def _run(own: dict[str, Any], common: dict[str, Any]) -> RunStep:
    return RunStep(
        **_command(own.get("run")),
        env=own.get("env", {}),
        cwd=own.get("cwd"),
        stdin=own.get("stdin"),
        ok=own.get("ok", (0,)),
        parse=own.get("parse", "text"),
        **_with_defaults(common, DEFAULT_COMMAND_TIMEOUT_S, None),
    )


def _workflow(own: dict[str, Any], common: dict[str, Any]) -> WorkflowStep:
    reading, pointer = own["_reading"], join_pointer(own["_pointer"], "workflow")
    reference = own.get("workflow", "").removeprefix("file:")
    path = reading.path_of(reference, reading.node_at(pointer), pointer) if reference else None
    return WorkflowStep(workflow=path or "", with_=own.get("with"), **common)


def _http(own: dict[str, Any], common: dict[str, Any]) -> HttpStep:
    request = own.get("http", {})
    request = {"url": request} if isinstance(request, Template) else request
    return HttpStep(
        method=request.get("method", "GET"),
        url=request.get("url") or Template("", ()),
        headers=request.get("headers", {}),
        query=request.get("query", {}),
        body=request.get("body"),
        ok=request.get("ok", ()),
        **_with_defaults(common, DEFAULT_TIMEOUT_S, Retry()),
    )


def _http_object(values: dict[str, Any], reading: Reading, _node: MapNode, pointer: str) -> dict[str, Any]:
    if "body" in values and values.get("method", "GET") in ("GET", "HEAD"):
        message = f"A {values.get('method', 'GET')} request has no body."
        reading.complain_at(join_pointer(pointer, "body"), message, "add `method: POST`")
    return values


def _set(own: dict[str, Any], common: dict[str, Any]) -> SetStep:
    return SetStep(value=own.get("set") or Value(None), **common)


def _validate(own: dict[str, Any], common: dict[str, Any]) -> ValidateStep:
    return ValidateStep(checks=own.get("validate", ()), value=own.get("value"), **common)


def _check(values: dict[str, Any], reading: Reading, node: MapNode, pointer: str) -> Check:
    words = [word for word in ("run", "schema", "expect") if word in values]
    if len(words) != 1:
        said = "this has " + " and ".join(f"`{word}`" for word in words) if words else "this has none"
        reading.complain(node, pointer, f"A check has one of `run`, `schema` and `expect`; {said}.")
        return Check(kind="expect", name="", place=reading.place(node))
    word = words[0]
    for key, owner in (("file", "schema"), ("timeout", "run")):
        if key in values and word != owner:
            reading.complain_at(join_pointer(pointer, key), f"`{key}` belongs to a `{owner}` check.")
    return Check(
        kind=word,
        name=values.get("name") or _check_name(word, node),
        place=reading.place(node),
        timeout_s=values.get("timeout", DEFAULT_COMMAND_TIMEOUT_S),
        schema=values.get("schema"),
        file=values.get("file"),
        expect=values.get("expect"),
        message=values.get("message"),
        **(_command(values["run"]) if word == "run" else {}),
    )


def _check_name(word: str, node: MapNode) -> str:
    found = node.get(word)
    text = found.text if isinstance(found, ScalarNode) else ""
    return " ".join(text.split())[:100] or word


CHECK = Obj(
    "a check",
    {
        "run": Key(COMMAND, "A command that must exit with 0."),
        "schema": Key(SCHEMA, "JSON Schema that the value, or the file, must meet."),
        "expect": Key(Condition(), "A condition that must be true; `value` is what is checked."),
        "file": Key(
            Expression(),
            "With `schema`: a JSON or YAML file of the workspace to check in place of the value.",
        ),
        "timeout": Key(Duration(), "With `run`: how long it may take.", default="300s"),
        "name": Key(Text(), "Name of the check in reports."),
        "message": Key(Expression(), "What to say when it fails."),
    },
    _check,
)


HTTP = Obj(
    "an HTTP request",
    {
        "url": Key(Expression(), "The address.", required=True),
        "method": Key(
            Choice(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")), "The method.", default="GET"
        ),
        "headers": Key(
            MapOf(TEXT_OR_SECRET),
            "Headers; a secret is given by name: {secret: OPS_TOKEN, prefix: 'Bearer '}.",
        ),
        "query": Key(MapOf(Expression()), "Query parameters."),
        "body": Key(AnyValue(), "The body: JSON, or text when it is text."),
        "ok": Key(
            ListOf(Whole(100, 599), single=True, low=1), "Statuses that count as success; default 200 to 299."
        ),
    },
    _http_object,
)

ACTIONS: tuple[Kind, ...] = (
    Kind(
        "agent",
        "An agent works until it has an answer. Output: its answer.",
        {
            "agent": Key(AGENT_NAME, "Name of the agent, from `agents:`.", required=True),
            "with": Key(WITH.shape, "The prompt: text, or any value, which is sent as JSON."),
            "tools": Key(ListOf(TOOL_NAME, single=True), "Only these of the agent's tools."),
            "max_turns": Key(Whole(1, 1000), "Model turns at most."),
            "policies": Key(POLICIES, "Tighter policies for this step."),
            "task_kind": Key(TASK_KIND, "Kind of task: which of the agent's models are used."),
        },
        {**RETRIED, **OUTPUT},
        _agent,
    ),
    Kind(
        "tool",
        "One call of a tool. Output: its result.",
        {
            "tool": Key(TOOL_NAME, "Name of the tool.", required=True),
            "with": Key(WITH.shape, "The arguments: an object."),
        },
        {**RETRIED, **OUTPUT},
        _tool,
    ),
    Kind(
        "run",
        "A command in the sandboxed workspace. Output: {exit_code, stdout, stderr, truncated} and `value` with `parse`.",
        {
            "run": Key(
                COMMAND, "The command: a line for `sh -c`, or a list of program and arguments.", required=True
            ),
            "env": Key(MapOf(Expression(), name=r"[A-Za-z_][A-Za-z0-9_]*"), "Environment variables."),
            "cwd": Key(Expression(), "Directory inside the workspace."),
            "stdin": Key(Expression(), "Text on its standard input."),
            "ok": Key(
                ListOf(Whole(0, 255), single=True, low=1), "Exit codes that count as success.", default=[0]
            ),
            "parse": Key(
                Choice(("text", "lines", "json")), "What to make of its output, as `value`.", default="text"
            ),
        },
        {**RETRIED, **OUTPUT},
        _run,
    ),
    Kind(
        "validate",
        "Checks that must all pass. Output: the value that was checked.",
        {
            "validate": Key(ListOf(CHECK, single=True, low=1, unique=False), "The checks.", required=True),
            "value": Key(AnyValue(), "What is checked; default: the output of the step before."),
        },
        BOUNDED,
        _validate,
    ),
    Kind(
        "workflow",
        "A child run of another workflow file. Output: its outputs.",
        {
            "workflow": Key(LINK, "The file, relative to this one.", required=True),
            "with": Key(WITH.shape, "Its inputs."),
        },
        {**RETRIED, **OUTPUT},
        _workflow,
    ),
    Kind(
        "http",
        "One HTTP request. Output: {status, headers, body}.",
        {"http": Key(OneOf((HTTP, Expression()), "an address, or a mapping"), "The request.", required=True)},
        {**RETRIED, **OUTPUT},
        _http,
    ),
    Kind(
        "set",
        "Gives a value a name. Output: the value.",
        {"set": Key(AnyValue(), "The value; strings may hold `${...}`.", required=True)},
        {**ALWAYS, **OUTPUT},
        _set,
    ),
)

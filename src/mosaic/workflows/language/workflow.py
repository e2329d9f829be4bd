"""The language: every key of a workflow file. It reads files and publishes `workflow.schema.json`."""

from typing import Any

from mosaic.core.values import JsonObject
from mosaic.workflows.expressions import Template
from mosaic.workflows.language.action_kinds import ACTIONS, TOOL_NAME
from mosaic.workflows.language.agent_entries import Agents
from mosaic.workflows.language.control_kinds import CONTROLS
from mosaic.workflows.language.nodes import MapNode
from mosaic.workflows.language.policies import POLICIES, RISK_CLASSES
from mosaic.workflows.language.reading import Reading, join_pointer
from mosaic.workflows.language.shapes import (
    NAMED,
    AnyValue,
    Choice,
    Dollars,
    Duration,
    Flag,
    Key,
    ListOf,
    MapOf,
    Obj,
    OneOf,
    Text,
    Whole,
)
from mosaic.workflows.language.step_keys import SCHEMA, TEXT_OR_SECRET, WORKFLOW_CATCH
from mosaic.workflows.language.step_shapes import KINDS, StepList, step_schema
from mosaic.workflows.language.waiting_kinds import QUORUM, ROLES, WAITING, waits
from mosaic.workflows.schemas import Approval, Limits, McpServer, ToolEntry, WorkspaceEntry

__all__ = ["WORKFLOW", "workflow_schema"]

KINDS.update({kind.word: kind for kind in (*ACTIONS, *WAITING, *CONTROLS)})

EFFECTS = ("read", "write", "exec", "network", "destructive")
SCHEMA_ID = "urn:mosaic:schema:workflow:v1"


def _as_read(values: dict[str, Any], _reading: Reading, _node: MapNode, _pointer: str) -> dict[str, Any]:
    return values


def _limits(values: dict[str, Any], _reading: Reading, _node: MapNode, _pointer: str) -> Limits:
    return Limits(
        usd=values.get("usd"),
        tokens=values.get("tokens"),
        duration_s=values.get("duration"),
        concurrency=values.get("concurrency", 8),
        retries=values.get("retries", 20),
    )


def _approval(values: dict[str, Any], reading: Reading, _node: MapNode, pointer: str) -> Approval:
    return Approval(
        roles=values.get("roles", ()),
        wait_s=waits(values, reading, pointer),
        on_timeout=values.get("on_timeout", "deny"),
        quorum=values.get("quorum", 1),
        counting=values.get("counting", "veto"),
        four_eyes=values.get("four_eyes", False),
    )


def _server(values: dict[str, Any], reading: Reading, node: MapNode, pointer: str) -> McpServer:
    if "command" in values and "url" in values:
        message = "A server has a `command` or a `url`, not both."
        reading.complain_at(join_pointer(pointer, "url"), message, "remove one")
    for key, owner in (("env", "command"), ("confined", "command"), ("headers", "url")):
        if key in values and owner not in node.entries:
            reading.complain_at(join_pointer(pointer, key), f"`{key}` belongs to a server with a `{owner}`.")
    return McpServer(
        command=values.get("command", ()),
        env=_literal(values.get("env", {}), reading, join_pointer(pointer, "env")),
        url=values.get("url"),
        headers=_literal(values.get("headers", {}), reading, join_pointer(pointer, "headers")),
        trust_annotations=values.get("trust_annotations", False),
        confined=values.get("confined", False),
        start_timeout_s=values.get("start_timeout", 30.0),
    )


def _literal(values: dict[str, Any], reading: Reading, pointer: str) -> dict[str, Any]:
    """Return texts and secrets; a server starts before any step, so there is nothing to evaluate."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found[name] = value
        if isinstance(value, Template):
            found[name] = "".join(part.text for part in value.parts)
            if value.expressions:
                message = "An expression cannot stand here: the server starts before any step."
                reading.complain_at(join_pointer(pointer, name), message)
    return found


def _tool(values: dict[str, Any], reading: Reading, node: MapNode, pointer: str) -> ToolEntry:
    sources = [key for key in ("mcp", "python") if key in values]
    if len(sources) > 1:
        reading.complain_at(
            join_pointer(pointer, "python"), "A tool comes from `mcp` or `python`, not both.", "remove one"
        )
    function, file = _python(values.get("python"), reading, pointer)
    tool = values.get("tool")
    if tool == "*" and "mcp" not in values:
        reading.complain_at(
            join_pointer(pointer, "tool"), '`"*"` means every tool of an MCP server.', "add `mcp: name`"
        )
    return ToolEntry(
        name=pointer.removeprefix("tools."),
        place=reading.place(node),
        source=sources[0] if sources else "known",
        description=values.get("description"),
        server=values.get("mcp"),
        tool=None if tool == "*" else tool,
        all_of_server=tool == "*",
        function=function,
        file=file,
        risk=values.get("risk"),
        approval=values.get("approval"),
        timeout_s=values.get("timeout"),
        effects=values.get("effects"),
        retries=values.get("retries"),
    )


def _python(written: str | None, reading: Reading, pointer: str) -> tuple[str | None, str | None]:
    """Return function and file of `python`: ``module:function``, or ``file.py:function`` beside the workflow."""
    place, _, function = (written or "").rpartition(":")
    if not place.endswith(".py"):
        return written, None
    pointer = join_pointer(pointer, "python")
    found = reading.content(place.removeprefix("file:"), reading.node_at(pointer), pointer)
    return function, found[0] if found else None


def _workspace(values: dict[str, Any], _reading: Reading, _node: MapNode, _pointer: str) -> WorkspaceEntry:
    return WorkspaceEntry(source=values.get("source", ""))


METADATA = Obj(
    "the metadata",
    {
        "name": Key(
            Text(
                "a name: letters, digits, `-`, `_` and `.`",
                pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}",
                example="ship-change",
            ),
            "Name of the workflow.",
            required=True,
        ),
        "version": Key(
            Text(
                "a version in quotes, such as 1.2.0",
                pattern=r"\d+(\.\d+){0,3}([-+][0-9A-Za-z.+-]+)?",
                example="1.2.0",
            ),
            "Version of the workflow.",
            default="0",
        ),
        "description": Key(Text(may_be_empty=True), "What it does; shown to people."),
        "labels": Key(MapOf(Text(may_be_empty=True)), "Words to find it by."),
    },
    _as_read,
)
LIMITS = Obj(
    "the limits",
    {
        "usd": Key(Dollars(), "Money, in US dollars. The call that would pass it is not made."),
        "tokens": Key(Whole(1, 10**15), "Input plus output tokens. The call that would pass it is not made."),
        "duration": Key(Duration(), "How long the run may take."),
        "concurrency": Key(Whole(1, 1000), "Steps at the same time in the whole run.", default=8),
        "retries": Key(Whole(0, 10_000), "Further tries of anything, in the whole run.", default=20),
    },
    _limits,
)
APPROVAL = Obj(
    "an approval",
    {
        "roles": Key(ROLES, "Who may approve; default: everyone who may approve."),
        "timeout": Key(Duration(), "How long to wait; default: for ever."),
        "on_timeout": Key(Choice(("deny", "approve")), "The decision then.", default="deny"),
        **QUORUM,
    },
    _approval,
)
SERVER = Obj(
    "an MCP server",
    {
        "command": Key(
            ListOf(Text(), single=True, low=1, unique=False), "Program and arguments, for a server on stdio."
        ),
        "env": Key(MapOf(TEXT_OR_SECRET), "Environment variables of the program."),
        "url": Key(
            Text("an address", pattern=r"https?://\S+", example="https://tools.example.org/mcp"),
            "Its address, for streamable HTTP.",
        ),
        "headers": Key(MapOf(TEXT_OR_SECRET), "Headers of each request."),
        "trust_annotations": Key(Flag(), "Take its word for which of its tools only read.", default=False),
        "confined": Key(Flag(), "Keep the program from changing files outside the workspace.", default=False),
        "start_timeout": Key(Duration(), "How long it may take to answer at first.", default="30s"),
    },
    _server,
    any_of=("command", "url"),
)
TOOL = Obj(
    "a tool",
    {
        "description": Key(Text(), "What it does; agents read it."),
        "mcp": Key(
            OneOf((SERVER, Text("the name of a server")), "the name of an MCP server, or the server itself"),
            "The MCP server that has it: a name from MosAIc's settings, or {command: [...]} or {url: ...}.",
        ),
        "tool": Key(
            Text(),
            'Its name at the source, when it differs; `"*"`: every tool of the server, as `<key>.<tool>`.',
        ),
        "python": Key(
            Text(
                "a function: `module:name`, or `file.py:name` beside the workflow",
                pattern=r"(file:)?[\w./-]+:[A-Za-z_]\w*",
                example="tools/release.py:publish",
            ),
            "A Python function: `module:name` of the installation, or `file.py:name` of a file beside the workflow.",
        ),
        "risk": Key(
            Choice(RISK_CLASSES), "Its risk class; default: what it says itself, else `destructive`."
        ),
        "approval": Key(APPROVAL, "Who must approve each call."),
        "effects": Key(ListOf(Choice(EFFECTS), single=True), "What it touches; default: its own word."),
        "retries": Key(Flag(), "Whether a failure that is worth it is tried again; default: its own word."),
        "timeout": Key(Duration(), "How long a call may take.", default="30s"),
    },
    _tool,
)
WORKSPACE = Obj(
    "the workspace",
    {
        "source": Key(
            Text("a directory beside this file", example="repo/"),
            "Directory beside this file that the run works on, in a worktree of its own. Imported when it is no git repository.",
            required=True,
        )
    },
    _workspace,
)
WORKFLOW = Obj(
    "a workflow",
    {
        "mosaic": Key(Choice(("v1",)), "Version of the language: `v1`.", required=True),
        "kind": Key(Choice(("Workflow",)), "`Workflow`.", required=True),
        "metadata": Key(METADATA, "Name, version, description.", required=True),
        "inputs": Key(SCHEMA, "JSON Schema of the inputs."),
        "limits": Key(LIMITS, "Bounds of a run."),
        "policies": Key(POLICIES, "What may be done without asking."),
        "workspace": Key(WORKSPACE, "The files that the run works on."),
        "agents": Key(Agents(), "The agents, by name."),
        "tools": Key(
            MapOf(
                TOOL,
                "a mapping of tools",
                name=TOOL_NAME.pattern,
                name_expected="letters, digits, `_`, `-` and `.`",
            ),
            "Tools that are not built in, and tighter rules for tools that are, by name.",
        ),
        "do": Key(StepList(), "The steps.", required=True),
        "catch": Key(WORKFLOW_CATCH, "What happens when a step fails and nothing else handles it."),
        "outputs": Key(MapOf(AnyValue()), "What the run returns; strings may hold `${...}`."),
        "outputs_schema": Key(SCHEMA, "JSON Schema that the outputs must meet."),
    },
    _as_read,
)


def workflow_schema() -> JsonObject:
    """Return the published JSON Schema of a workflow file, in draft 7: the one that every editor reads."""
    NAMED.clear()
    root = WORKFLOW.schema()
    definitions: JsonObject = {
        "step": step_schema(),
        "steps": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": {"$ref": "#/definitions/step"},
            },
        },
    }
    while missing := [name for name in NAMED if name not in definitions]:
        for name in missing:
            definitions[name] = NAMED[name].schema()
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": SCHEMA_ID,
        "title": "MosAIc workflow",
        **root,
        "definitions": dict(sorted(definitions.items())),
    }

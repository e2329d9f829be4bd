"""The `agents:` section: mappings, or Markdown and YAML files; the agents room reads each of them."""

from dataclasses import dataclass, replace
from typing import Any

from mosaic.agents.document import Document as AgentDocument
from mosaic.agents.document import Place as AgentPlace
from mosaic.agents.document import read_markdown, read_yaml
from mosaic.agents.schemas import AgentSpec
from mosaic.agents.spec import parse_agent
from mosaic.core.errors import Problem
from mosaic.core.values import JsonObject, JsonValue
from mosaic.workflows.language.files import FileRefused, resolve
from mosaic.workflows.language.nodes import ListNode, MapNode, Node, ScalarNode, plain
from mosaic.workflows.language.policies import POLICIES
from mosaic.workflows.language.reading import Reading, join_pointer, kind_of
from mosaic.workflows.schemas import AgentEntry
from mosaic.workflows.step_base import Place

__all__ = ["AGENT_DOCS", "Agents"]

AGENT_DOCS: dict[str, tuple[JsonObject, str]] = {
    "name": ({"type": "string"}, "What it is called; default: the key, or the file's name."),
    "id": ({"type": "string"}, "Its id, DOMAIN-ROLE-NAME."),
    "version": ({"type": ["string", "number"]}, "Version of the definition."),
    "description": ({"type": "string"}, "What it is for, in one line; other agents read it before they hand over."),
    "model": (
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "object"}]},
        "Candidates `<provider>:<model>`, best first; or one list per kind of task. Default: the installation's.",
    ),
    "instructions": ({"type": "string"}, "The system prompt; `file:prompts/coder.md` takes it from a file."),
    "tools": (
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "object"}]},
        "Tools it may use: names or patterns such as `files.*`; or {required, preferred, allowed, refused}.",
    ),
    "output": ({"type": "object"}, "JSON Schema of its answer, or {$ref: schemas/answer.json}. Without it: text."),
    "handoffs": (
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "Agents it may hand control to.",
    ),
    "max_turns": ({"type": "integer", "minimum": 1}, "Model turns at most in one step. Default 20."),
    "repairs": ({"type": "integer", "minimum": 0}, "How often a wrong answer is sent back to it. Default 2."),
    "capacity": ({"type": "integer", "minimum": 1}, "Jobs at the same time. Default 4."),
    "pool": ({"type": "string"}, "The queue that its jobs wait in. Default `default`."),
    "temperature": ({"type": "number", "minimum": 0, "maximum": 2}, "Sampling temperature."),
    "max_output_tokens": ({"type": "integer", "minimum": 1}, "Bound of one answer."),
    "context_tokens": ({"type": "integer", "minimum": 1000}, "Bound of the conversation. Default 120000."),
    "capabilities": (
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "Dotted names by which it is found, such as `code.write`.",
    ),
    "policies": ({"$ref": "#/definitions/policies"}, "Tighter policies for this agent."),
    "acp": ({"type": "string"}, "A coding agent (`claude`, `codex`, ...) in place of a model."),
    "isolation": ({"type": "object"}, "How a coding agent is confined: {worktree, sandbox, egress}."),
    "a2a": ({"type": "string"}, "An agent elsewhere in place of a model: a name of tools.a2a_agents, or its address."),
    "skill": ({"type": "string"}, "Which skill of an agent elsewhere is meant."),
    "expertise": ({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}, "Fields it knows."),
    "working_style": ({"type": "string"}, "How it works."),
    "interaction": ({"type": "object"}, "Whom it works with: {reports_to, hands_off_to}."),
    "affinities": ({"type": "object"}, "What it is best at: {primary, avoid, keywords}."),
}  # fmt: skip
"""The keys that `mosaic.agents.spec` reads, for the published schema; a test keeps the two equal."""


@dataclass(frozen=True, slots=True)
class Agents:
    """The shape of `agents:`."""

    expected: str = "a mapping of agents"

    def accepts(self, node: Node) -> bool:
        """Accept mappings."""
        return isinstance(node, MapNode)

    def read(self, node: Node, reading: Reading, pointer: str) -> dict[str, AgentEntry]:
        """Return the agents; one that is wrong is there with what can be known of it."""
        if not isinstance(node, MapNode):
            reading.complain(node, pointer, f"`agents` must be {self.expected}, not {kind_of(node)}.")
            return {}
        found: dict[str, AgentEntry] = {}
        for name, (key, item) in node.entries.items():
            inner = join_pointer(pointer, name)
            reading.places[inner] = item
            place = Place(reading.file, key.line, key.column)
            spec = self._agent(name, item, reading, inner)
            if spec is None:
                reading.broken.add(inner)
                spec = AgentSpec(name, tools=_texts(item, "tools"), handoffs=_texts(item, "handoffs"))
            found[name] = AgentEntry(name, place, replace(spec, name=name))
        return found

    def _agent(self, name: str, node: Node, reading: Reading, pointer: str) -> AgentSpec | None:
        if isinstance(node, ScalarNode) and node.text.startswith("file:"):
            return self._from_file(name, node, reading, pointer)
        if not isinstance(node, MapNode):
            message = f"An agent is a mapping, or `file:agents/{name[:40]}.md`; this is {kind_of(node)}."
            reading.complain(node, pointer, message)
            return None
        places = _places(node, ("agents", name))

        def locate(keys: tuple[str | int, ...]) -> tuple[int, int]:
            while keys and keys not in places:
                keys = keys[:-1]
            return places.get(keys, (node.line, node.column))

        place = AgentPlace(reading.file, ("agents", name), locate)
        return self._parsed(plain(node), name, place, reading)

    def _from_file(self, name: str, node: ScalarNode, reading: Reading, pointer: str) -> AgentSpec | None:
        reference = node.text.removeprefix("file:").strip()
        before = len(reading.problems)
        text = reading.text(reference, node, pointer)
        if len(reading.problems) > before:
            return None
        path = resolve(reference, reading.file)
        is_markdown = path.lower().endswith(".md")
        document = read_markdown(text, file=path) if is_markdown else read_yaml(text, file=path)
        reading.problems.extend(document.problems)
        if document.problems:
            return None
        value = _with_body(document, path, reading)
        return self._parsed(value, name, AgentPlace(path, (), document.locate), reading)

    def _parsed(self, value: JsonValue, name: str, place: AgentPlace, reading: Reading) -> AgentSpec | None:
        def read_file(reference: str) -> str:
            try:
                return reading.files.read(resolve(reference, place.file)).decode("utf-8-sig")
            except FileRefused as error:
                hint = f" ({error.suggestion})" if error.suggestion else ""
                raise ValueError(error.message.rstrip(".") + hint) from None

        spec, problems = parse_agent(value, name=name, place=place, read_file=read_file)
        told = "looks like a secret"  # found in the whole file already, at the value itself
        reading.problems.extend(problem for problem in problems if told not in problem.message)
        return None if problems else spec

    def schema(self) -> JsonObject:
        """Return an object of agents."""
        agent: JsonObject = {
            "type": "object",
            "properties": {
                name: {"description": doc, **({"allOf": [shape]} if "$ref" in shape else shape)}
                for name, (shape, doc) in AGENT_DOCS.items()
            },
            "additionalProperties": False,
        }
        POLICIES.schema()
        return {
            "type": "object",
            "additionalProperties": {"anyOf": [agent, {"type": "string", "pattern": "^file:"}]},
        }


def _texts(node: Node, key: str) -> tuple[str, ...]:
    """Return the names in a list of a wrong agent, so that they are checked all the same."""
    listed = node.get(key) if isinstance(node, MapNode) else None
    items = listed.items if isinstance(listed, ListNode) else []
    return tuple(item.value for item in items if isinstance(item, ScalarNode) and isinstance(item.value, str))


def _with_body(document: AgentDocument, path: str, reading: Reading) -> JsonValue:
    if not document.body or not isinstance(document.value, dict):
        return document.value
    if "instructions" in document.value:
        message = "The instructions are given twice: in the front matter and below it."
        reading.problems.append(Problem(message, "instructions", path, document.body_line, 1))
        return document.value
    return {**document.value, "instructions": document.body}


def _places(node: Node, keys: tuple[str | int, ...]) -> dict[tuple[str | int, ...], tuple[int, int]]:
    """Return line and column of everything inside a node, by its path."""
    found: dict[tuple[str | int, ...], tuple[int, int]] = {}
    stack: list[tuple[tuple[str | int, ...], Any]] = [(keys, node)]
    while stack:
        path, item = stack.pop()
        found.setdefault(path, (item.line, item.column))
        if isinstance(item, MapNode):
            for name, (key, inner) in item.entries.items():
                found[*path, name] = (key.line, key.column)
                stack.append(((*path, name), inner))
        elif isinstance(item, ListNode):
            stack.extend(((*path, index), inner) for index, inner in enumerate(item.items))
    return found

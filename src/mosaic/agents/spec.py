"""Agent definitions: a YAML mapping, in a workflow or a file of its own, or Markdown with front matter."""

import re
from pathlib import Path
from typing import Any

from mosaic.agents.document import Document, Place, read_markdown, read_yaml
from mosaic.agents.fields import Fields, ReadFile, kind_of, reason_of
from mosaic.agents.schemas import AgentSpec
from mosaic.core.errors import InvalidDefinition, Problem
from mosaic.core.redaction import looks_secret
from mosaic.core.values import JsonObject, JsonValue
from mosaic.providers.catalog import DEFAULT_PROVIDERS

__all__ = ["AGENT_KEYS", "AgentSpec", "check_agent", "load_agent", "parse_agent"]

_MAX_FILE_BYTES = 1_000_000
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,47}")
_MODEL = re.compile(r"[a-z][a-z0-9_-]*:\S+|default|" + "|".join(DEFAULT_PROVIDERS))
_ID = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+){2,}")
_CAPABILITY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_A2A = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,47}|https?://[^\s@?#]{1,500}")
_SKILL = re.compile(r"[^\s\x00-\x1f]{1,200}")
_TOOL = re.compile(r"[A-Za-z0-9_.*?\[\]:/-]{1,128}")

AGENT_KEYS = (
    "name", "id", "version", "description", "model", "instructions", "tools", "output", "handoffs", "max_turns",
    "repairs", "capacity", "pool", "temperature", "max_output_tokens", "context_tokens", "capabilities", "policies",
    "acp", "isolation", "a2a", "skill", "expertise", "working_style", "interaction", "affinities",
)  # fmt: skip


def load_agent(path: Path | str) -> AgentSpec:
    """Return the agent that a ``.yaml``, ``.yml`` or ``.md`` file defines.

    Files that it names (``file:...``, ``$ref``) are read from beside it.

    Raises:
        InvalidDefinition: with every problem of the file, each with file, line and column.
    """
    spec, problems = _load(Path(path))
    if spec is None:
        raise InvalidDefinition(
            f"{path} is not a valid agent: {problems[0]}"
            + (f" (and {len(problems) - 1} more)" * (len(problems) > 1)),
            problems=problems,
        )
    return spec


def check_agent(path: Path | str) -> list[Problem]:
    """Return every problem of an agent file; empty when it is right."""
    return _load(Path(path))[1]


def _load(path: Path) -> tuple[AgentSpec | None, list[Problem]]:
    shown = str(path)
    try:
        text = _read_text(path)
    except (OSError, ValueError) as error:
        return None, [Problem(f"Cannot be read: {reason_of(error)}.", file=shown)]
    if path.suffix.lower() == ".md":
        document = read_markdown(text, file=shown)
    else:
        document = read_yaml(text, file=shown)
    if document.problems:
        return None, list(document.problems)
    value, problems = _with_body(document, shown)
    root = path.parent.resolve()
    place = Place(shown, (), document.locate)
    spec, found = parse_agent(value, name=path.stem, place=place, read_file=lambda name: _beside(root, name))
    problems += found
    return (None if problems else spec), problems


def _with_body(document: Document, file: str) -> tuple[JsonValue, list[Problem]]:
    if not document.body or not isinstance(document.value, dict):
        return document.value, []
    if "instructions" in document.value:
        message = "The instructions are given twice: in the front matter and below it."
        return document.value, [Place(file, (), document.locate).problem(message, "instructions")]
    if looks_secret(document.body):
        return document.value, [
            Problem("This text holds what looks like a secret.", "", file, document.body_line, 1)
        ]
    return {**document.value, "instructions": document.body}, []


def _read_text(path: Path) -> str:
    with path.open("rb") as stream:
        data = stream.read(_MAX_FILE_BYTES + 1)
    if len(data) > _MAX_FILE_BYTES:
        raise ValueError(f"larger than {_MAX_FILE_BYTES} bytes")
    return data.decode("utf-8")


def _beside(root: Path, name: str) -> str:
    target = (root / name).resolve()
    if not target.is_relative_to(root):
        raise ValueError("it lies outside the definition's directory")
    return _read_text(target)


def parse_agent(
    value: JsonValue,
    *,
    name: str,
    place: Place | None = None,
    read_file: ReadFile | None = None,
) -> tuple[AgentSpec | None, list[Problem]]:
    """Return the agent that a mapping defines, and every problem found; the agent is None when there is one.

    Args:
        value: the plain JSON value read from YAML.
        name: what the agent is called when the mapping does not say: a workflow's key, a file's stem.
        place: where the value stands, for positions in problems.
        read_file: returns the text of a file named relative to the definition; raises OSError or ValueError.
            Without it ``file:`` and ``$ref`` are refused.
    """
    place = place or Place()
    if not isinstance(value, dict):
        return None, [
            place.problem("An agent is a mapping of fields.", suggestion="see docs/reference/agents.md")
        ]
    parser = _AgentParser(value, place, read_file)
    spec = parser.parse(name)
    return (None if parser.problems else spec), parser.problems


class _AgentParser(Fields):
    """Reads an agent's mapping."""

    def parse(self, name: str) -> AgentSpec:
        self.unknown(self.value, AGENT_KEYS)
        self.secrets(self.value, ())
        if self.problems and any("secret" in problem.message for problem in self.problems):
            return AgentSpec(name)  # no later message may quote it
        models, by_task = self._models()
        tools = self._tools()
        interaction = self.group("interaction", ("reports_to", "hands_off_to"))
        affinities = self.group("affinities", ("primary", "avoid", "keywords"))
        handoffs = (
            *self.texts("handoffs", self.value, _NAME),
            *self.texts("hands_off_to", interaction, _NAME),
        )
        spec = AgentSpec(
            name=self.text("name", pattern=_NAME) or self._default_name(name),
            description=self.text("description") or "",
            model=models,
            models_by_task=by_task,
            instructions=self._instructions(),
            tools=tools["offered"],
            required_tools=tools["required"],
            preferred_tools=tools["preferred"],
            refused_tools=tools["refused"],
            output_schema=self._output(),
            handoffs=tuple(dict.fromkeys(handoffs)),
            max_turns=self.integer("max_turns", 20, 1, 1000),
            repairs=self.integer("repairs", 2, 0, 10),
            capacity=self.integer("capacity", 4, 1, 10_000),
            pool=self.text("pool", pattern=_NAME) or "default",
            temperature=self._temperature(),
            max_output_tokens=self.integer("max_output_tokens", 0, 1, 10_000_000) or None,
            context_tokens=self.integer("context_tokens", 120_000, 1000, 10_000_000),
            capabilities=self.texts(
                "capabilities", self.value, _CAPABILITY, "dotted names such as code.write"
            ),
            policies=self._policies(),
            acp=self.text("acp", pattern=_NAME),
            isolation=self.mapping("isolation"),
            a2a=self.text(
                "a2a", pattern=_A2A, expected="a name of the settings, or an http(s) address without ? and @"
            ),
            skill=self.text("skill", pattern=_SKILL, expected="a word of at most 200 characters"),
            id=self.text("id", pattern=_ID, expected="DOMAIN-ROLE-NAME, for example CORE-CODER-ADA"),
            version=self._version(),
            expertise=self.texts("expertise", self.value),
            working_style=self.text("working_style") or "",
            reports_to=self.text("reports_to", interaction, keys=("interaction",)),
            primary=self.texts("primary", affinities),
            avoid=self.texts("avoid", affinities),
            keywords=self.texts("keywords", affinities),
        )
        self._contradictions(spec)
        return spec

    def _default_name(self, name: str) -> str:
        if _NAME.fullmatch(name) is None and "name" not in self.value:
            self.complain(f"{name[:60]!r} cannot be an agent's name: letters, digits, _ and -, at most 48.")
        return name

    def _version(self) -> str | None:
        value = self.value.get("version")
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)  # version: 1 is what people write
        return self.text("version")

    def _temperature(self) -> float | None:
        value = self.value.get("temperature")
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 2:
            self.complain("temperature is a number from 0 to 2.", "temperature")
            return None
        return float(value)

    def _models(self) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
        value = self.value.get("model")
        expected = "<provider>:<model>, for example openai:gpt-5"
        if not isinstance(value, dict):
            return self.texts("model", self.value, _MODEL, expected), {}
        found = {key: self.texts(key, value, _MODEL, expected) for key in value}
        default = found.pop("default", ())
        if not default:
            self.complain(
                "A model per kind of task needs a default beside it.", "model", suggestion="default: [...]"
            )
        return default, found

    def _tools(self) -> dict[str, tuple[str, ...]]:
        value = self.value.get("tools")
        expected = "a tool's name or a pattern such as files.*"
        groups: dict[str, tuple[str, ...]] = {"required": (), "preferred": (), "allowed": (), "refused": ()}
        if isinstance(value, dict):
            self.unknown(value, tuple(groups), "tools")
            groups = {key: self.texts(key, value, _TOOL, expected) for key in groups}
        else:
            groups["allowed"] = self.texts("tools", self.value, _TOOL, expected)
        offered = (*groups["required"], *groups["preferred"], *groups["allowed"])
        for name in {*offered} & {*groups["refused"]}:
            self.complain(f"The tool {name!r} is both offered and refused.", "tools", "refused")
        return {**groups, "offered": tuple(dict.fromkeys(offered))}

    def _policies(self) -> dict[str, str]:
        rules = self.mapping("policies")
        if not rules:
            return {}
        from mosaic.tools.policy import policy_problems  # noqa: PLC0415 - brings the engine along; few agents need it

        for found in policy_problems(rules):
            key = found.path.removeprefix("policies.")
            self.complain(found.message, "policies", key, suggestion=found.suggestion)
        return rules

    def _instructions(self) -> str:
        text = self.text("instructions") or ""
        if not text.startswith("file:"):
            return text
        return self.file(text.removeprefix("file:").strip(), "instructions")

    def _output(self) -> JsonObject | None:
        value = self.value.get("output")
        if value is None:
            return None
        if not isinstance(value, dict):
            hint = "for example {type: object, properties: {...}}, or {$ref: schemas/answer.json}"
            self.complain("output is a JSON Schema.", "output", suggestion=hint)
            return None
        reference = value.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            if len(value) > 1:
                self.complain("A $ref to a file stands alone.", "output")
            return self._schema(self._referenced(reference))
        return self._schema(value)

    def _referenced(self, reference: str) -> Any:
        before = len(self.problems)
        text = self.file(reference, "output", "$ref")
        if len(self.problems) > before:
            return None
        document = read_yaml(text, file=reference)  # JSON is YAML, and this way both have positions
        self.problems += document.problems
        if not document.problems and not isinstance(document.value, dict):
            self.complain(
                f"{reference} is not a JSON Schema: it holds {kind_of(document.value)}.", "output", "$ref"
            )
        return document.value

    def _schema(self, schema: Any) -> JsonObject | None:
        from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - 100 ms, most agents answer in text

        if not isinstance(schema, dict):
            return None
        if remote := _foreign_reference(schema):
            self.complain(f"A $ref inside a schema stays inside it ('#/...'), not {remote[:80]!r}.", "output")
            return None
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            self.complain(f"Not a JSON Schema: {error.message[:200]}.", "output", *error.absolute_path)
            return None
        return schema

    def _contradictions(self, spec: AgentSpec) -> None:
        if spec.name in spec.handoffs:
            self.complain("An agent does not hand over to itself.", "handoffs")
        if spec.acp is not None and spec.model:
            self.complain("An agent is either a model (model) or a coding agent (acp), not both.", "acp")
        if spec.acp is None and spec.isolation:
            self.complain("isolation is for coding agents (acp).", "isolation")
        self._elsewhere(spec)

    def _elsewhere(self, spec: AgentSpec) -> None:
        """Refuse what an agent elsewhere would never get to see."""
        if spec.a2a is None:
            if spec.skill is not None:
                self.complain("skill is for agents elsewhere (a2a).", "skill")
            return
        if spec.acp is not None or spec.model or spec.models_by_task:
            self.complain("An agent elsewhere (a2a) has its own model: leave out model and acp.", "a2a")
        for key, given in (("tools", spec.tools), ("handoffs", spec.handoffs)):
            if given:
                self.complain(f"An agent elsewhere (a2a) cannot use {key} of ours.", key)


def _foreign_reference(value: JsonValue) -> str | None:
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            return reference
        value = list(value.values())
    if isinstance(value, list):
        return next((hit for item in value if (hit := _foreign_reference(item)) is not None), None)
    return None

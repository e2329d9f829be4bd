"""The shape of a step: which keys each kind has, and what they make."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mosaic.core.values import JsonObject
from mosaic.expressions import TYPE_NAMES
from mosaic.workflows.expressions import Value
from mosaic.workflows.language.nodes import ListNode, MapNode, Node, ScalarNode
from mosaic.workflows.language.reading import Reading, join_pointer, kind_of
from mosaic.workflows.language.shapes import Key
from mosaic.workflows.spelling import nearest, shown
from mosaic.workflows.steps import SetStep, Step

__all__ = [
    "KINDS",
    "NAME",
    "RESERVED",
    "Branches",
    "Kind",
    "StepList",
    "StepShape",
    "name_problem",
    "step_schema",
]

RESERVED = frozenset(
    {
        # the language's own variables
        "error", "feedback", "inputs", "iteration", "needed", "run", "value",
        # CEL
        "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop",
        "namespace", "null", "package", "return", "true", "var", "void", "while",
        # segments of step paths
        "compensate", "default", "finally",
    }
    | TYPE_NAMES
)  # fmt: skip
NAME = r"[A-Za-z_][A-Za-z0-9_]{0,62}"
_SEGMENT = re.compile(r"(catch|case)\d+")


def name_problem(name: str) -> tuple[str, str | None] | None:
    """Return why `name` cannot name a step or variable, and what to write instead; None when it can."""
    if not re.fullmatch(NAME, name):
        fixed = re.sub(r"[^A-Za-z0-9_]", "_", name)[:60]
        hint = f"write `{fixed}`" if re.fullmatch(NAME, fixed) else None
        return (
            f"`{shown(name)}` cannot be a name: letters, digits and `_`, not a digit first, at most 63",
            hint,
        )
    if name in RESERVED or _SEGMENT.fullmatch(name):
        return f"`{name}` is a reserved word", f"write `{name}_step`"
    return None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of step.

    Attributes:
        word: the key that tells the kind.
        doc: what it does, for the published schema.
        keys: its own keys, `word` included.
        common: which of the common keys it has.
        make: makes the step of the kind's values and the common ones.
    """

    word: str
    doc: str
    keys: Mapping[str, Key]
    common: Mapping[str, Key]
    make: Callable[[dict[str, Any], dict[str, Any]], Step]

    @property
    def all_keys(self) -> dict[str, Key]:
        """Its own and the common keys."""
        return {**self.keys, **self.common}


KINDS: dict[str, Kind] = {}
"""By word, in the order of the reference; filled by the modules that define them."""


@dataclass(frozen=True, slots=True)
class StepShape:
    """What stands after a step's name.

    Attributes:
        branch: it is a branch of a fork, which may have `needs`.
    """

    branch: bool = False
    expected: str = "a step: a mapping such as {agent: planner}"

    def accepts(self, node: Node) -> bool:
        """Accept mappings."""
        return isinstance(node, MapNode)

    def read(self, node: Node, reading: Reading, pointer: str) -> Step:
        """Return the step; a `SetStep` marked broken after a problem with its kind."""
        name = re.split(r"[.\]]", pointer)[-1]
        reading.places[pointer] = node
        if not isinstance(node, MapNode):
            reading.complain(
                node, pointer, f"A step is a mapping such as {{agent: planner}}, not {kind_of(node)}."
            )
            return _broken(name, node, reading, pointer)
        kind = self._kind(node, reading, pointer)
        if kind is None:
            self._read_known(node, reading, pointer)
            return _broken(name, node, reading, pointer)
        before = len(reading.problems)
        values = self._values(node, reading, pointer, kind)
        common = {"name": name, "path": pointer, "place": reading.place(node), **_common(values)}
        own = {key: value for key, value in values.items() if key in kind.keys}
        own["_reading"], own["_pointer"], own["_node"] = reading, pointer, node
        made = kind.make(own, common)
        if len(reading.problems) > before:
            reading.broken.add(pointer)
        return made

    def _kind(self, node: MapNode, reading: Reading, pointer: str) -> Kind | None:
        words = [word for word in KINDS if word in node.entries]
        if len(words) > 1 and "do" in words:
            words.remove("do")  # `for` and `while` have one, and the others complain of it as a key
        if len(words) == 1:
            return KINDS[words[0]]
        if words:
            listed = " and ".join(f"`{word}`" for word in words)
            second = node.entries[words[1]][0]
            reading.complain(
                second, pointer, f"A step does one thing; this has {listed}.", "make two steps of it"
            )
            return None
        known = {*KINDS, *(key for kind in KINDS.values() for key in kind.all_keys)}
        unknown = [name for name in node.entries if name not in known]
        place, hint = node, f"one of {', '.join(KINDS)}"
        if unknown:
            near = nearest(unknown[0], KINDS)
            place = node.entries[unknown[0]][0]  # type: ignore[assignment]
            hint = near if near and near.startswith("did") else hint
            message = f"`{shown(unknown[0])}` is not a kind of step."
        else:
            message = "This step does not say what it does."
        reading.complain(place, pointer, message, hint)
        return None

    def _read_known(self, node: MapNode, reading: Reading, pointer: str) -> None:
        """Read what can be read of a step whose kind is wrong, for the problems in it."""
        for kind in KINDS.values():
            for name in ("do", "catch", "compensate", "with"):
                if name in node.entries and name in kind.all_keys:
                    item = node.entries[name][1]
                    kind.all_keys[name].shape.read(item, reading, join_pointer(pointer, name))
                    return

    def _values(self, node: MapNode, reading: Reading, pointer: str, kind: Kind) -> dict[str, Any]:
        keys = kind.all_keys
        found: dict[str, Any] = {}
        for name, (key, item) in node.entries.items():
            inner = join_pointer(pointer, name)
            reading.places[inner] = item
            if name == "needs" and not self.branch:
                hint = "steps of a list run one after the other; for a graph use the branches of a `fork`, or `for.needs`"
                reading.complain(key, inner, "`needs` belongs to the branches of a `fork`.", hint)
            elif name in keys:
                found[name] = keys[name].shape.read(item, reading, inner)
            else:
                article = "an" if kind.word[0] in "aeh" and kind.word != "handoff" else "a"
                message = f"Unknown key `{shown(name)}` in {article} `{kind.word}` step."
                reading.complain(key, inner, message, nearest(name, keys))
        for name, known in keys.items():
            if known.required and name not in node.entries:
                reading.complain(
                    node, pointer, f"The key `{name}` is missing in this `{kind.word}` step.", known.doc
                )
        return found

    def schema(self) -> JsonObject:
        """Return a reference to the published step."""
        return {"$ref": "#/definitions/step"}


def _common(values: dict[str, Any]) -> dict[str, Any]:
    names = {
        "description": "description", "if": "condition", "retry": "retry", "timeout": "timeout_s", "catch": "catch",
        "compensate": "compensate", "on_fail": "on_fail", "needs": "needs", "output": "output_schema",
    }  # fmt: skip
    return {names[key]: value for key, value in values.items() if key in names}


def _broken(name: str, node: Node, reading: Reading, pointer: str) -> Step:
    reading.broken.add(pointer)
    return SetStep(name=name, path=pointer, place=reading.place(node), value=Value(None))


def step_schema() -> JsonObject:
    """Return the published schema of a step: one alternative per kind, told apart by the required word."""
    alternatives = []
    for kind in KINDS.values():
        keys = {name: key.schema() for name, key in kind.all_keys.items()}
        required = [
            kind.word,
            *(name for name, key in kind.keys.items() if key.required and name != kind.word),
        ]
        alternatives.append(
            {
                "title": f"{kind.word} step",
                "description": kind.doc,
                "type": "object",
                "properties": keys,
                "required": required,
                "additionalProperties": False,
            }
        )
    return {"oneOf": alternatives}


@dataclass(frozen=True, slots=True)
class StepList:
    """A block: a list whose items are one step each, under its name."""

    expected: str = "a list of steps, each `- name: {...}`"

    def accepts(self, node: Node) -> bool:
        """Accept lists."""
        return isinstance(node, ListNode)

    def read(self, node: Node, reading: Reading, pointer: str) -> tuple[Step, ...]:
        """Return the steps."""
        if not isinstance(node, ListNode):
            hint = "put `- ` before each step" if isinstance(node, MapNode) else None
            reading.complain(node, pointer, f"This must be {self.expected}, not {kind_of(node)}.", hint)
            return ()
        if not node.items:
            reading.complain(node, pointer, "This list of steps is empty.")
        steps: list[Step] = []
        names: dict[str, int] = {}
        for index, item in enumerate(node.items):
            inner = join_pointer(pointer, index)
            reading.places[inner] = item
            if not reading.count_step(item, inner):
                break
            entry = self._entry(item, reading, inner)
            if entry is None:
                continue
            key, body = entry
            name = str(key.value)
            self._check_name(key, reading, join_pointer(inner, name), names)
            steps.append(StepShape().read(body, reading, join_pointer(inner, name)))
        return tuple(steps)

    def _entry(self, item: Node, reading: Reading, pointer: str) -> tuple[ScalarNode, Node] | None:
        if isinstance(item, MapNode) and len(item.entries) == 1:
            return next(iter(item.entries.values()))
        if not isinstance(item, MapNode) or not item.entries:
            message = f"A step is written `- name: {{...}}`; this is {kind_of(item)}."
            reading.complain(item, pointer, message)
        elif any(word in item.entries for word in KINDS):
            message = "This step has no name, or its body is not indented below it."
            reading.complain(item, pointer, message, "write `- name:` and indent the keys below it")
        else:
            second = list(item.entries.values())[1][0]
            reading.complain(second, pointer, "One list item is one step.", "put `- ` before each step")
        return None

    def _check_name(self, key: ScalarNode, reading: Reading, pointer: str, names: dict[str, int]) -> None:
        name = str(key.value)
        problem = name_problem(name)
        if problem:
            reading.complain(key, pointer, f"{problem[0]}.", problem[1])
        if name in names:
            message = f"The step name `{shown(name)}` is taken: line {names[name]}."
            reading.complain(key, pointer, message, "names are unique in their list")
        names.setdefault(name, key.line)

    def schema(self) -> JsonObject:
        """Return a reference to the published list of steps."""
        return {"$ref": "#/definitions/steps"}


@dataclass(frozen=True, slots=True)
class Branches:
    """The branches of a fork: each one step, under its name."""

    expected: str = "a mapping of branches, each `name: {...}`"
    low: int = field(default=1)

    def accepts(self, node: Node) -> bool:
        """Accept mappings."""
        return isinstance(node, MapNode)

    def read(self, node: Node, reading: Reading, pointer: str) -> tuple[Step, ...]:
        """Return the branches."""
        if not isinstance(node, MapNode):
            hint = "leave out the `- `" if isinstance(node, ListNode) else None
            reading.complain(node, pointer, f"This must be {self.expected}, not {kind_of(node)}.", hint)
            return ()
        if not node.entries:
            reading.complain(node, pointer, "This fork has no branches.")
        steps: list[Step] = []
        for name, (key, body) in node.entries.items():
            inner = join_pointer(pointer, name)
            if not reading.count_step(body, inner):
                break
            problem = name_problem(name)
            if problem:
                reading.complain(key, inner, f"{problem[0]}.", problem[1])
            steps.append(StepShape(branch=True).read(body, reading, inner))
        return tuple(steps)

    def schema(self) -> JsonObject:
        """Return an object of branches."""
        return {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/definitions/step"}}

"""A plan as a YAML file: read with every problem told at its place, and written so that it can be read back."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.redaction import looks_secret
from mosaic.core.values import JsonObject
from mosaic.planning.draft import MOST_ITEMS, Draft
from mosaic.planning.keys import KINDS, parse_key
from mosaic.planning.operations import Add, NewItemFields, Operation
from mosaic.planning.picture import Picture
from mosaic.planning.schedule import find_cycle
from mosaic.planning.schemas import Item, Plan
from mosaic.planning.yaml_text import to_yaml
from mosaic.workflows.language.document import Document, read_document
from mosaic.workflows.language.nodes import ListNode, MapNode, Node, ScalarNode, plain
from mosaic.workflows.spelling import nearest, shown

__all__ = ["PlanFile", "read_plan", "write_plan"]

_MAX_BYTES = 4_000_000
_MAX_NODES = 150_000
_MOST_PROBLEMS = 200
_PARTS = dict(zip(KINDS, ("epics", "features", "stories", "tasks", "subtasks", "atomics"), strict=True))
_FIELDS = tuple(NewItemFields.model_fields)
_SHAPE = "A plan is a mapping: `plan`, `description`, `epics`."
_NOWHERE = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PlanFile:
    """What a file says a plan is.

    Attributes:
        operations: what adds its items to an empty plan.
    """

    name: str
    description: str
    operations: list[Operation]

    def to_json(self) -> JsonObject:
        """Return the request that makes the plan."""
        operations = [one.model_dump(mode="json", exclude_unset=True) for one in self.operations]
        return {"name": self.name, "description": self.description, "operations": operations}


def read_plan(text: str, file: str = "plan.yaml") -> PlanFile:
    """Return the plan that a YAML text describes.

    Raises:
        InvalidInput: naming every problem with file, line, column and the next step.
    """
    reader = _Reader(read_document(text.encode(), file, max_bytes=_MAX_BYTES, max_nodes=_MAX_NODES))
    made = reader.read()
    if reader.problems:
        problems = sorted(reader.problems, key=lambda one: (one.line, one.column))[:_MOST_PROBLEMS]
        count = len(reader.problems)
        raise InvalidInput(
            f"{file}: {count} problem{'s' if count > 1 else ''} in the plan.",
            problems=problems,
            hint="Correct these and import it again; nothing was written.",
        )
    return made


@dataclass(slots=True)
class _Reader:
    document: Document
    problems: list[Problem] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    nodes: list[MapNode | ScalarNode] = field(default_factory=list)

    def read(self) -> PlanFile:
        self.problems.extend(self.document.problems)
        root = self.document.root
        empty = PlanFile("", "", [])
        if root is None:
            if not self.problems:
                self.complain(Node(1, 1, 0, 0), "", _SHAPE)
            return empty
        if not isinstance(root, MapNode):
            self.complain(root, "", _SHAPE)
            return empty
        self.keys(root, "", ("plan", "description", "epics"))
        name = self.text(root, "plan", most=300)
        if not name.strip():
            self.complain(root.get("plan") or root, "plan", "The plan needs a name.", "plan: Checkout")
        description = self.text(root, "description", most=20_000)
        self.children(root, "", None, kind="epic")
        if len(self.operations) > MOST_ITEMS:
            self.complain(
                root, "", f"A plan has at most {MOST_ITEMS} items, this one has {len(self.operations)}."
            )
        elif not self.problems:
            self.rehearse()
        return PlanFile(name, description, self.operations)

    def complain(self, node: Node, path: str, message: str, suggestion: str | None = None) -> None:
        self.problems.append(Problem(message, path, self.document.file, node.line, node.column, suggestion))

    def keys(self, node: MapNode, path: str, known: tuple[str, ...]) -> None:
        for name, (key, _) in node.entries.items():
            if name not in known:
                self.complain(key, path, f"There is no field `{shown(name)}` here.", nearest(name, known))

    def text(self, node: MapNode, name: str, *, most: int) -> str:
        found = node.get(name)
        if found is None:
            return ""
        if not isinstance(found, ScalarNode) or not isinstance(found.value, str) or len(found.value) > most:
            self.complain(found, name, f"`{name}` is text of at most {most} characters.")
            return ""
        self.check_text(found, name)
        return found.value

    def check_text(self, node: Node, path: str) -> None:
        """Note what cannot be stored or must not be: zero bytes, secrets."""
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            if "\0" in node.value:
                self.complain(node, path, "This text holds a zero byte.")
            if looks_secret(node.value):
                self.complain(node, path, "This looks like a secret.", "name it instead of writing it")
        elif isinstance(node, ListNode):
            for item in node.items:
                self.check_text(item, path)
        elif isinstance(node, MapNode):
            for _, item in node.entries.values():
                self.check_text(item, path)

    def children(self, node: MapNode, path: str, parent: str | None, *, kind: str) -> None:
        listed = node.get(_PARTS[kind])
        if listed is None or (isinstance(listed, ScalarNode) and listed.value is None):
            return
        inner = f"{path}.{_PARTS[kind]}" if path else _PARTS[kind]
        if not isinstance(listed, ListNode):
            self.complain(listed, inner, f"`{_PARTS[kind]}` is a list.")
            return
        for index, item in enumerate(listed.items):
            if len(self.operations) <= MOST_ITEMS:
                self.item(item, f"{inner}[{index}]", parent, kind)

    def item(self, node: Node, path: str, parent: str | None, kind: str) -> None:
        below = KINDS[KINDS.index(kind) + 1] if kind != KINDS[-1] else None
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            entries: dict[str, Node] = {"title": node}
        elif isinstance(node, MapNode):
            entries = {name: item for name, (_, item) in node.entries.items()}
            known = (*_FIELDS, "key", "depends_on", *((_PARTS[below],) if below else ()))
            self.keys(node, path, known)
        else:
            self.complain(node, path, f"A {kind} is its title, or a mapping of its fields.")
            return
        fields = {name: entries[name] for name in _FIELDS if name in entries}
        for name, given in fields.items():
            self.check_text(given, f"{path}.{name}")
        ref = f"i{len(self.operations)}"
        made = self.fields(node, fields, path)
        if made is not None and isinstance(node, MapNode | ScalarNode):
            operation = Add(op="add", ref=ref, item=made, key=self.key(entries.get("key"), path))
            if parent is not None:
                operation.parent = parent
            operation.depends_on = self.waits(entries.get("depends_on"), path)
            self.operations.append(operation)
            self.nodes.append(node)
        if below is not None and isinstance(node, MapNode):
            self.children(node, path, ref, kind=below)

    def fields(self, node: Node, given: dict[str, Node], path: str) -> NewItemFields | None:
        value: dict[str, Any] = {name: plain(item) for name, item in given.items()}
        if isinstance(value.get("acceptance"), list):
            value["acceptance"] = [
                {"text": one} if isinstance(one, str) else one for one in value["acceptance"]
            ]
        try:
            return NewItemFields.model_validate(value)
        except ValidationError as error:
            for item in error.errors(include_input=False, include_url=False):
                place = _walk(given, item["loc"]) or node
                where = ".".join(str(part) for part in item["loc"])
                self.complain(place, f"{path}.{where}", f"`{where}`: {item['msg']}.")
            return None

    def key(self, node: Node | None, path: str) -> str | None:
        if node is None:
            return None
        value = node.value if isinstance(node, ScalarNode) else None
        if not isinstance(value, str) or parse_key(value) is None:
            self.complain(node, f"{path}.key", "This is no key.", "such as E.001, F.001.01 or T.001.01.01.01")
            return None
        return value

    def waits(self, node: Node | None, path: str) -> list[str]:
        if node is None or (isinstance(node, ScalarNode) and node.value is None):
            return []
        listed = node.items if isinstance(node, ListNode) else [node]
        found = []
        for item in listed:
            value = item.value if isinstance(item, ScalarNode) else None
            if not isinstance(value, str) or not 0 < len(value) <= 200:
                self.complain(item, f"{path}.depends_on", "This names no item.", "such as T.001.01.01.01")
            else:
                found.append(value)
        return found

    def rehearse(self) -> None:
        """Make the plan once for nothing, so that what is wrong between its items is told at their places."""
        plan = Plan("plan_", "", "", "", "", 0, 0, _NOWHERE, "", _NOWHERE)
        draft = Draft(plan, ())
        trial = [
            one.model_copy(update={"depends_on": [ref for ref in one.depends_on if not _is_elsewhere(ref)]})
            for one in self.operations
            if isinstance(one, Add)
        ]
        try:
            draft.apply(trial, where=str)
        except InvalidInput as error:
            for problem in error.problems:
                index, _, name = problem.path.partition(".")
                node: Node = self.nodes[int(index)] if index.isdigit() else self.nodes[0]
                if name and isinstance(node, MapNode):
                    node = node.get(name) or node
                self.complain(
                    node, name, f"{problem.message[:1].upper()}{problem.message[1:]}.", problem.suggestion
                )
            return
        if circle := find_cycle(draft.items.values()):
            self.circle(circle, draft.items)

    def circle(self, circle: list[tuple[str, str]], items: dict[str, Item]) -> None:
        places = {item.id: node for item, node in zip(items.values(), self.nodes, strict=True)}
        said = ", ".join(f"{items[one].key} waits for {items[other].key}" for one, other in circle[:12])
        node: Node = places[circle[0][0]]
        if isinstance(node, MapNode):
            node = node.get("depends_on") or node
        self.complain(
            node,
            "depends_on",
            f"Items would wait for each other in a circle: {said}.",
            "leave one of these out",
        )


def _is_elsewhere(reference: str) -> bool:
    """Say whether a name is of an item of another plan, which only the server knows."""
    return ":" in reference or reference.startswith("item_")


def _walk(given: dict[str, Node], location: tuple[Any, ...]) -> Node | None:
    """Return the innermost value on the way to a place that there is."""
    node = given.get(str(location[0])) if location else None
    for part in location[1:]:
        inner = (
            node.get(str(part))
            if isinstance(node, MapNode)
            else node.items[part]
            if isinstance(node, ListNode) and isinstance(part, int) and part < len(node.items)
            else None
        )
        if inner is None:
            break
        node = inner
    return node


def write_plan(picture: Picture) -> str:
    """Return a plan as YAML; its runs and figures are not in it."""
    value: JsonObject = {"plan": picture.plan.name}
    if picture.plan.description:
        value["description"] = picture.plan.description
    value["epics"] = [_item(picture, item_id) for item_id in picture.tree.below(None)]
    return to_yaml(value)


def _item(picture: Picture, item_id: str) -> JsonObject:
    item = picture.tree.items[item_id]
    shown = {"key": item.key, "title": item.title, **dict(_details(picture, item))}
    if below := picture.tree.below(item_id):
        part = _PARTS[KINDS[KINDS.index(item.kind) + 1]]
        shown[part] = [_item(picture, child) for child in below]
    return shown


def _details(picture: Picture, item: Item) -> Iterator[tuple[str, Any]]:
    """Yield the fields of an item that say something."""
    if item.description:
        yield "description", item.description
    # A run is not in the file: what it worked on is to be done.
    if item.status not in ("todo", "running", "needs_you") and picture.tree.is_leaf(item.id):
        yield from (("status", item.status), *((("reason", item.reason),) if item.reason else ()))
    if item.priority != 3:
        yield "priority", item.priority
    given = {
        "phase": item.phase,
        "target_version": item.target_version,
        "assignee": item.assignee,
        "estimate": {name: value for name, value in item.estimate.to_json().items() if value is not None},
        "labels": list(item.labels),
        "acceptance": [one.to_json() if one.met else one.text for one in item.acceptance],
        "brief": item.brief,
        "depends_on": [_reference(picture, other) for other in item.depends_on],
    }
    yield from ((name, value) for name, value in given.items() if value)


def _reference(picture: Picture, item_id: str) -> str:
    item = picture.everything.items[item_id]
    return item.key if item.plan == picture.plan.id else f"{item.plan}:{item.key}"

"""What shapes share while they read one file: its document, its problems, its files, and templates with places."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mosaic.core.errors import Problem
from mosaic.core.redaction import looks_secret
from mosaic.expressions import CelError
from mosaic.workflows.expressions import (
    Locate,
    ShellTemplate,
    Template,
    Value,
    parse_condition,
    parse_shell,
    parse_template,
)
from mosaic.workflows.language.document import Document
from mosaic.workflows.language.files import FileRefused, Files, resolve
from mosaic.workflows.language.nodes import ListNode, MapNode, Node, ScalarNode
from mosaic.workflows.spelling import shown
from mosaic.workflows.step_base import Place

__all__ = ["MAX_STEPS", "Reading", "join_pointer", "kind_of"]

MAX_STEPS = 1000
"""Steps in one file."""


def kind_of(node: Node) -> str:
    """Return what people call a value of this kind."""
    if isinstance(node, MapNode):
        return "a mapping"
    if isinstance(node, ListNode):
        return "a list"
    value = node.value if isinstance(node, ScalarNode) else None
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "empty text" if not value else f"`{shown(value)}`"
    return f"the number {shown(node.text) if isinstance(node, ScalarNode) else ''}"


def join_pointer(pointer: str, key: str | int) -> str:
    """Return the place of a member: ``do[2].build.for``."""
    if isinstance(key, int):
        return f"{pointer}[{key}]"
    return f"{pointer}.{key}" if pointer else key


@dataclass(slots=True)
class Reading:
    """One file while it is read; problems are collected, never raised.

    Attributes:
        places: the value that stands at each pointer.
        broken: pointers of the steps and agents that are wrong: what they give is not known.
        steps: how many steps were read.
        sources: node and pointer of each template, for positions inside it; by `id`, the template kept alive.
    """

    files: Files
    document: Document
    problems: list[Problem] = field(default_factory=list)
    places: dict[str, Node] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    steps: int = 0
    sources: dict[int, tuple[Template, ScalarNode, str]] = field(default_factory=dict)

    def count_step(self, node: Node, pointer: str) -> bool:
        """Count a step; say whether it may still be read. The first one too many is a problem."""
        self.steps += 1
        if self.steps == MAX_STEPS + 1:
            hint = "loop with `for`, or move steps into a `workflow` of their own"
            self.complain(node, pointer, f"A workflow has at most {MAX_STEPS} steps.", hint)
        return self.steps <= MAX_STEPS

    @property
    def file(self) -> str:
        """The file's path, relative to the definition's directory."""
        return self.document.file

    def place(self, node: Node) -> Place:
        """Return where a node stands."""
        return Place(self.file, node.line, node.column)

    def complain(self, node: Node, pointer: str, message: str, suggestion: str | None = None) -> None:
        """Note a problem with a value."""
        self.problems.append(Problem(message, pointer, self.file, node.line, node.column, suggestion))

    def complain_at(self, pointer: str, message: str, suggestion: str | None = None) -> None:
        """Note a problem with the value that was read at `pointer`, or with the nearest one around it."""
        self.complain(self.node_at(pointer), pointer, message, suggestion)

    def node_at(self, pointer: str) -> Node:
        """Return the value that was read at `pointer`, or the nearest one around it."""
        while pointer and pointer not in self.places:
            pointer = pointer[: max(pointer.rfind("."), pointer.rfind("["), 0)]
        return self.places.get(pointer) or self.document.root or Node(1, 1, 0, 0)

    def template(self, node: ScalarNode, pointer: str) -> Template:
        """Return the template of a text; an empty one after a problem."""
        return self._kept(self._compiled(node, pointer, parse_template), node, pointer)

    def condition(self, node: ScalarNode, pointer: str) -> Template:
        """Return the template of a condition; an empty one after a problem."""
        return self._kept(self._compiled(node, pointer, parse_condition), node, pointer)

    def _kept(self, template: Template, node: ScalarNode, pointer: str) -> Template:
        self.sources[id(template)] = (template, node, pointer)
        return template

    def complain_in(
        self, template: Template, offset: int, message: str, suggestion: str | None = None
    ) -> None:
        """Note a problem with the character at `offset` of a template's text."""
        found = self.sources.get(id(template))
        line, column = self.document.locate(found[1], offset) if found else (1, 1)
        pointer = found[2] if found else ""
        self.problems.append(Problem(message, pointer, self.file, line, column, suggestion))

    def script(self, node: ScalarNode, pointer: str) -> ShellTemplate:
        """Return the template of a shell script."""
        template = self.template(node, pointer)
        try:
            return parse_shell(template)
        except CelError as error:
            self._wrong(node, pointer, error)
            return ShellTemplate(Template("", (), self.file), ())

    def _compiled(
        self, node: ScalarNode, pointer: str, parse: Callable[[str, str, Locate], Template]
    ) -> Template:
        text = node.text if isinstance(node.value, str) else node.text.lower()
        try:
            return parse(text, self.file, lambda offset: self.document.locate(node, offset))
        except CelError as error:
            self._wrong(node, pointer, error)
            return Template("", (), self.file)

    def _wrong(self, node: ScalarNode, pointer: str, error: CelError) -> None:
        line, column = self.document.locate(node, error.offset)
        message = f"Wrong expression: {error.message}."
        self.problems.append(Problem(message, pointer, self.file, line, column, error.suggestion))

    def value(self, node: Node, pointer: str) -> Value:
        """Return any value, its strings as templates where they hold an expression."""
        return Value(self._tree(node, pointer))

    def _tree(self, node: Node, pointer: str) -> object:
        self.places[pointer] = node
        if isinstance(node, MapNode):
            return {key: self._entry(key, entry, pointer) for key, entry in node.entries.items()}
        if isinstance(node, ListNode):
            return [self._tree(item, join_pointer(pointer, index)) for index, item in enumerate(node.items)]
        scalar = node if isinstance(node, ScalarNode) else ScalarNode(1, 1, 0, 0)
        if not isinstance(scalar.value, str) or "${" not in scalar.text:
            return scalar.value
        template = self.template(scalar, pointer)
        if template.expressions or not template.parts:
            return template
        return template.parts[0].text  # only escapes: `$${` has become `${`

    def _entry(self, key: str, entry: tuple[ScalarNode, Node], pointer: str) -> object:
        inner = join_pointer(pointer, key)
        if "${" in key:
            self.complain(entry[0], inner, "A key is not evaluated.", "put the expression into the value")
        return self._tree(entry[1], inner)

    def path_of(self, reference: str, node: Node, pointer: str) -> str | None:
        """Return the path that a file reference means; None after a problem."""
        try:
            return resolve(reference, self.file)
        except FileRefused as error:
            self.complain(node, pointer, error.message, error.suggestion)
            return None

    def content(self, reference: str, node: Node, pointer: str) -> tuple[str, bytes] | None:
        """Return path and content of a file that is referred to; None after a problem."""
        path = self.path_of(reference, node, pointer)
        if path is None:
            return None
        try:
            return path, self.files.read(path)
        except FileRefused as error:
            self.complain(node, pointer, error.message, error.suggestion)
            return None

    def text(self, reference: str, node: Node, pointer: str) -> str:
        """Return the text of a file that is referred to; empty after a problem."""
        found = self.content(reference, node, pointer)
        if found is None:
            return ""
        try:
            text = found[1].decode("utf-8-sig")
        except UnicodeDecodeError:
            self.complain(node, pointer, f"The file `{shown(reference)}` is not UTF-8 text.")
            return ""
        if looks_secret(text):
            self.complain(node, pointer, f"The file `{shown(reference)}` holds what looks like a secret.")
            return ""
        return text

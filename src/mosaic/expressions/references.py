"""What a CEL expression refers to, and where in its text: for checks before a run and for clear errors in one.

The CEL library parses and evaluates, but it neither tells a free variable from one that a macro binds nor says
where a name stands. This scanner reads the tokens of an expression (its syntax is the library's affair) and
follows chains such as ``plan.tasks[0].title`` and the variables of macros such as ``build.exists(b, b.risk)``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

__all__ = [
    "KEYWORDS",
    "MACROS",
    "TYPE_NAMES",
    "Macro",
    "Member",
    "Reference",
    "Scan",
    "closing_brace",
    "scan",
]

KEYWORDS = frozenset({"true", "false", "null", "in"})
MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})

TYPE_NAMES = frozenset(
    {"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"}
)
"""What ``type(x)`` gives; not variables."""

_TOKEN = re.compile(
    r"(?P<space>\s+|//[^\n]*)"
    r"|(?P<raw>(?:[rR][bB]?|[bB][rR])(?:\"\"\".*?\"\"\"|'''.*?'''|\"[^\"\n]*\"|'[^'\n]*'))"
    r"|(?P<string>[bB]?(?:\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''"
    r"|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'))"
    r"|(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?[uU]?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<mark>.)",
    re.DOTALL,
)
_SIMPLE_STRING = re.compile(r"([\"'])([^\"'\\]*)\1")
_OPENING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Token:
    """One token: what it is, its text, and where it starts in the expression."""

    kind: Literal["string", "number", "name", "mark"]
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Member:
    """One step of a chain.

    Attributes:
        kind: ``field``: by name; ``index``: by number; ``each``: an item of the list (a macro's variable);
            ``any``: by a value that only the run knows.
        key: name or number; None for ``each`` and ``any``.
        offset: where it stands in the expression.
    """

    kind: Literal["field", "index", "each", "any"]
    key: str | int | None
    offset: int


@dataclass(frozen=True, slots=True)
class Reference:
    """A free variable and the chain that follows it.

    Attributes:
        name: the variable.
        offset: where it stands; for a macro's variable where that stands.
        path: the chain.
        tested: the last member is only asked for with ``has(...)``.
        loops: indices (in `Scan.macros`) of the macros that repeat it.
    """

    name: str
    offset: int
    path: tuple[Member, ...]
    tested: bool = False
    loops: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro that walks a list or map.

    Attributes:
        name: such as ``map``.
        offset: where the name stands.
        receiver: what it walks, when that is a chain.
        call: the function whose result it walks, ``{`` for a literal map, when it is no chain.
        loops: indices of the macros around it.
    """

    name: str
    offset: int
    receiver: Reference | None
    loops: tuple[int, ...]
    call: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """Everything that an expression refers to, in the order of the text."""

    references: tuple[Reference, ...]
    macros: tuple[Macro, ...]
    functions: tuple[tuple[str, int], ...]
    length: int
    is_chain: bool

    @property
    def variables(self) -> frozenset[str]:
        """The free variables."""
        return frozenset(reference.name for reference in self.references)


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of an expression without white space and comments."""
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup
        if kind == "raw":
            yield Token("string", found[0], found.start())
        elif kind is not None and kind != "space":
            yield Token(kind, found[0], found.start())  # type: ignore[arg-type]  # the groups of the pattern


def closing_brace(text: str, start: int) -> int:
    """Return where the ``}`` stands that closes the ``{`` before `start`, -1 if none does."""
    depth = 0
    for found in _TOKEN.finditer(text, start):
        if found.lastgroup == "mark":
            if found[0] == "{":
                depth += 1
            elif found[0] == "}":
                if depth == 0:
                    return found.start()
                depth -= 1
    return -1


def scan(text: str) -> Scan:
    """Return what the expression `text` refers to. Wrong syntax gives a best effort, never an error."""
    scanner = _Scanner(list(tokens(text)))
    scanner.walk(0, len(scanner.tokens), {}, ())
    references = scanner.references
    is_chain = scanner.whole is not None and all(
        member.kind in ("field", "index") for member in scanner.whole.path
    )
    return Scan(
        tuple(references), tuple(scanner.macros), tuple(scanner.functions), len(scanner.tokens), is_chain
    )


_Bound = dict[str, Reference | None]


class _Scanner:
    """Walks the tokens once; `bound` maps the variables of enclosing macros to the item they stand for."""

    def __init__(self, found: list[Token]) -> None:
        self.tokens = found
        self.references: list[Reference] = []
        self.macros: list[Macro] = []
        self.functions: list[tuple[str, int]] = []
        self.whole: Reference | None = None
        self.closing = _matching(found)
        self.opening = {close: opening for opening, close in self.closing.items()}
        self.tested: set[int] = set()

    def text(self, index: int) -> str:
        return self.tokens[index].text if 0 <= index < len(self.tokens) else ""

    def is_name(self, index: int) -> bool:
        return 0 <= index < len(self.tokens) and self.tokens[index].kind == "name"

    def walk(self, start: int, end: int, bound: _Bound, loops: tuple[int, ...]) -> None:
        index = start
        while index < end:
            if self.is_name(index) and self.text(index) not in KEYWORDS:
                index = self.name(index, end, bound, loops)
            elif self.text(index) == "." and self.is_name(index + 1) and index > start:
                index = self.member_of_value(index, end, bound, loops)
            else:
                index += 1

    def name(self, index: int, end: int, bound: _Bound, loops: tuple[int, ...]) -> int:
        token = self.tokens[index]
        if self.text(index + 1) == "(":
            self.functions.append((token.text, token.offset))
            if token.text == "has":
                self.tested.add(self.closing.get(index + 1, end))
            return index + 1
        if self.namespaced(index):
            self.functions.append((f"{token.text}.{self.text(index + 2)}", token.offset))
            return index + 3
        path, after = self.chain(index + 1, bound, loops)
        tested = after in self.tested and bool(path)
        reference = self.resolve(token, path, bound, loops, tested=tested)
        if index == 0 and after == len(self.tokens):
            self.whole = reference
        if reference is not None:
            self.references.append(reference)
        if self.is_macro(after):
            return self.macro(after, end, reference, bound, loops)
        return after

    def namespaced(self, index: int) -> bool:
        """Say whether ``math.abs(`` and the like starts here: a function's namespace, not a variable."""
        names = ("math", "base64")
        is_call = self.text(index + 1) == "." and self.is_name(index + 2) and self.text(index + 3) == "("
        return self.text(index) in names and is_call and not self.is_macro(index + 1)

    def resolve(
        self, token: Token, path: list[Member], bound: _Bound, loops: tuple[int, ...], *, tested: bool
    ) -> Reference | None:
        if token.text in TYPE_NAMES and token.text not in bound:
            return None
        if token.text not in bound:
            return Reference(token.text, token.offset, tuple(path), tested, loops)
        item = bound[token.text]
        if item is None:
            return None
        return replace(item, offset=token.offset, path=(*item.path, *path), tested=tested, loops=loops)

    def chain(self, index: int, bound: _Bound, loops: tuple[int, ...]) -> tuple[list[Member], int]:
        """Return the members from `index` on, and the index after them."""
        path: list[Member] = []
        while True:
            if self.text(index) == "." and self.is_name(index + 1) and self.text(index + 2) != "(":
                path.append(Member("field", self.text(index + 1), self.tokens[index + 1].offset))
                index += 2
            elif self.text(index) == "[" and index in self.closing:
                close = self.closing[index]
                path.append(self.subscript(index, close))
                if path[-1].kind == "any":
                    self.walk(index + 1, close, bound, loops)
                index = close + 1
            else:
                return path, index

    def subscript(self, index: int, close: int) -> Member:
        inner = self.tokens[index + 1 : close]
        if len(inner) == 1:
            simple = _SIMPLE_STRING.fullmatch(inner[0].text)
            if simple is not None:
                return Member("field", simple[2], inner[0].offset)
            if inner[0].kind == "number" and inner[0].text.isdigit():
                return Member("index", int(inner[0].text[:18]), inner[0].offset)
        return Member("any", None, self.tokens[index].offset)

    def is_macro(self, index: int) -> bool:
        """Say whether ``.exists(b,`` starts at the dot at `index`."""
        return (
            self.text(index) == "."
            and self.text(index + 1) in MACROS
            and self.text(index + 2) == "("
            and self.is_name(index + 3)
            and self.text(index + 4) == ","
            and index + 2 in self.closing
        )

    def macro(
        self, index: int, end: int, receiver: Reference | None, bound: _Bound, loops: tuple[int, ...]
    ) -> int:
        close = min(self.closing[index + 2], end)
        name = self.tokens[index + 1]
        call = "" if receiver is not None else self.call_before(index)
        self.macros.append(Macro(name.text, name.offset, receiver, loops, call))
        inside = (*loops, len(self.macros) - 1)
        variable = self.text(index + 3)
        item = None
        if receiver is not None:
            item = replace(receiver, path=(*receiver.path, Member("each", None, receiver.offset)))
        self.walk(index + 5, close, {**bound, variable: item}, inside)
        return close

    def call_before(self, index: int) -> str:
        """Return the function called right before the dot at `index`, ``{`` when a literal map ends there."""
        opening = self.opening.get(index - 1, -1)
        if self.text(opening) == "{":
            return "{"
        return self.text(opening - 1) if self.text(opening) == "(" and self.is_name(opening - 1) else ""

    def member_of_value(self, index: int, end: int, bound: _Bound, loops: tuple[int, ...]) -> int:
        """Handle ``.name`` after something that is no chain: a call, a bracket, a literal, or a chain's method."""
        if self.is_macro(index):
            return self.macro(index, end, None, bound, loops)
        if self.text(index + 2) == "(":
            self.functions.append((self.text(index + 1), self.tokens[index + 1].offset))
        return index + 2


def _matching(found: list[Token]) -> dict[int, int]:
    """Return the index of the closing bracket for each opening one."""
    pairs: dict[int, int] = {}
    stack: list[int] = []
    for index, token in enumerate(found):
        if token.kind != "mark":
            continue
        if token.text in _OPENING:
            stack.append(index)
        elif stack and token.text == _OPENING[found[stack[-1]].text]:
            pairs[stack.pop()] = index
    return pairs

"""``${...}`` expressions: CEL inside YAML strings.

* ``"${plan.tasks}"`` - the whole string is one expression: the value keeps its type.
* ``"Fix ${task.title} now"`` - text with expressions: text is put in as it is, every other value as JSON.
* ``$${`` writes ``${`` literally.
* Conditions (`if`, `when`, `while`, `expect`) may be bare CEL: ``review.score < 0.9``; they must give a bool.

Give `evaluate` the whole scope; only the variables that an expression names are converted. What it returns is
read-only for the caller: a plain chain such as ``${plan.tasks}`` returns the value of the scope itself.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from mosaic.core.errors import ExpressionFailed
from mosaic.core.values import JsonValue
from mosaic.expressions import MAX_EXPRESSION, CelError, closing_brace, compile_program, json_kind

__all__ = [
    "Locate",
    "Part",
    "ShellTemplate",
    "Template",
    "Value",
    "compile",
    "compile_condition",
    "compile_shell",
]

Locate = Callable[[int], tuple[int, int]]

_MAX_TEXT = 1_000_000
_MAX_EXPRESSIONS = 100
_OPENING = re.compile(r"\$\$\{|\$\{")
_ENVIRONMENT = "MOSAIC_VALUE_"
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a template: literal text, or the source of one expression and where it starts in its file."""

    text: str
    is_expression: bool = False
    offset: int = 0
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Template:
    """A string of a definition, compiled.

    Attributes:
        text: the string as the file holds it.
        parts: literal texts and expressions in order; a condition is one expression.
        file: the file it stands in, relative to the definition's directory; empty when it came from none.
        is_whole: the string is one expression, so the value keeps its type.
    """

    text: str
    parts: tuple[Part, ...]
    file: str = ""
    is_whole: bool = False

    def evaluate(self, scope: Mapping[str, JsonValue]) -> JsonValue:
        """Return the value in `scope`: the expression's own when it is the whole string, else text.

        Raises:
            ExpressionFailed: naming file, line, column, the expression and the names in scope.
        """
        if self.is_whole:
            return self._run(self.parts[0], scope)
        return self.evaluate_text(scope)

    def evaluate_text(self, scope: Mapping[str, JsonValue]) -> str:
        """Return the value as text: text as it is, everything else as JSON.

        Raises:
            ExpressionFailed: as `evaluate`, and when the text grows past a million characters.
        """
        made: list[str] = []
        length = 0
        for part in self.parts:
            made.append(_text(self._run(part, scope)) if part.is_expression else part.text)
            length += len(made[-1])
            if length > _MAX_TEXT:
                raise self._failure(part, CelError(f"the text is longer than {_MAX_TEXT} characters"), scope)
        return "".join(made)

    def evaluate_bool(self, scope: Mapping[str, JsonValue]) -> bool:
        """Return the truth of a condition.

        Raises:
            ExpressionFailed: as `evaluate`, and when the value is not a boolean.
        """
        value = self.evaluate(scope)
        if isinstance(value, bool):
            return value
        error = CelError(
            f"a condition must be true or false; this is {json_kind(value)}",
            suggestion="compare it: `x != null`, `size(x) > 0`, `x == 'yes'`",
        )
        raise self._failure(self.parts[0] if self.parts else Part(""), error, scope)

    @property
    def expressions(self) -> tuple[Part, ...]:
        """The parts that are expressions."""
        return tuple(part for part in self.parts if part.is_expression)

    @property
    def variables(self) -> frozenset[str]:
        """The variables that the expressions name."""
        names: frozenset[str] = frozenset()
        for part in self.expressions:
            names |= compile_program(part.text).scan.variables
        return names

    def _run(self, part: Part, scope: Mapping[str, JsonValue]) -> JsonValue:
        try:
            return compile_program(part.text).run(scope)
        except CelError as error:
            raise self._failure(part, error, scope) from None

    def _failure(self, part: Part, error: CelError, scope: Mapping[str, JsonValue]) -> ExpressionFailed:
        column = part.column + error.offset if part.column and "\n" not in part.text else part.column
        return _failed(error, part.text, (self.file, part.line, column), sorted(scope))


def _failed(
    error: CelError, expression: str, place: tuple[str, int, int], known: list[str] | None
) -> ExpressionFailed:
    file, line, column = place
    where = f"{file}:{line}:{column}: " if file else ""
    shown = expression if len(expression) <= 200 else expression[:200] + "..."
    hint = error.suggestion or (f"known names: {', '.join(known)}" if known else None)
    return ExpressionFailed(
        f"{where}{error.message}, in `{shown}`",
        hint=hint,
        expression=shown,
        file=file,
        line=line,
        column=column,
        known=known or [],
    )


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _tree(value: object, scope: Mapping[str, JsonValue]) -> JsonValue:
    if isinstance(value, Template):
        return value.evaluate(scope)
    if isinstance(value, dict):
        return {key: _tree(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [_tree(item, scope) for item in value]
    return value  # type: ignore[return-value]  # a JSON scalar, by construction


def _templates(value: object) -> Iterator[Template]:
    if isinstance(value, Template):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _templates(item)


@dataclass(frozen=True, slots=True)
class Value:
    """Any JSON value of a definition whose strings may be templates.

    Attributes:
        tree: the value; each string that holds an expression is a `Template`.
    """

    tree: object

    def evaluate(self, scope: Mapping[str, JsonValue]) -> JsonValue:
        """Return the value in `scope`.

        Raises:
            ExpressionFailed: see `Template.evaluate`.
        """
        return _tree(self.tree, scope)

    @property
    def templates(self) -> tuple[Template, ...]:
        """The templates in it, in order."""
        return tuple(_templates(self.tree))

    @property
    def is_literal(self) -> bool:
        """Whether it holds no expression."""
        return next(_templates(self.tree), None) is None

    @property
    def variables(self) -> frozenset[str]:
        """The variables that its expressions name."""
        return frozenset[str]().union(*(template.variables for template in self.templates))


@dataclass(frozen=True, slots=True)
class ShellTemplate:
    """A script whose values reach the shell as environment variables, so that no value is ever read as code.

    Attributes:
        template: the script.
        quoting: for each expression, whether it stands inside double quotes.
    """

    template: Template
    quoting: tuple[bool, ...]

    def render(self, scope: Mapping[str, JsonValue]) -> tuple[str, dict[str, str]]:
        """Return the script and the environment variables that it reads.

        Raises:
            ExpressionFailed: see `Template.evaluate`.
        """
        script: list[str] = []
        environment: dict[str, str] = {}
        for part in self.template.parts:
            if not part.is_expression:
                script.append(part.text)
                continue
            name = f"{_ENVIRONMENT}{len(environment) + 1}"
            quoted = self.quoting[len(environment)]
            environment[name] = Template(part.text, (part,), self.template.file).evaluate_text(scope)
            script.append(f"${{{name}}}" if quoted else f'"${{{name}}}"')
        return "".join(script), environment

    @property
    def variables(self) -> frozenset[str]:
        """The variables that its expressions name."""
        return self.template.variables


def compile(  # noqa: A001  # the module is always named with it, as in `re.compile`
    text: str, *, file: str = "", line: int = 0, column: int = 0
) -> Template:
    """Return the compiled form of a string; `line` and `column` are where its text starts.

    Raises:
        ExpressionFailed: if an expression in it is wrong.
    """
    return _wrapped(lambda: parse_template(text, file, _from(text, line, column)), text, file, line, column)


def compile_condition(text: str, *, file: str = "", line: int = 0, column: int = 0) -> Template:
    """Return the compiled form of a condition: bare CEL, or one ``${...}``.

    Raises:
        ExpressionFailed: if it is wrong.
    """
    return _wrapped(lambda: parse_condition(text, file, _from(text, line, column)), text, file, line, column)


def compile_shell(text: str, *, file: str = "", line: int = 0, column: int = 0) -> ShellTemplate:
    """Return the compiled form of a shell script.

    Raises:
        ExpressionFailed: if an expression in it is wrong, or stands inside single quotes.
    """
    template = compile(text, file=file, line=line, column=column)
    return _wrapped(lambda: parse_shell(template), text, file, line, column)


def _wrapped(make: Callable[[], _Made], text: str, file: str, line: int, column: int) -> _Made:
    try:
        return make()
    except CelError as error:
        at = _from(text, line, column)(error.offset)
        raise _failed(error, text, (file, *at), None) from None


def _from(text: str, line: int, column: int) -> Locate:
    def locate(offset: int) -> tuple[int, int]:
        before = text[:offset]
        breaks = before.count("\n")
        return (line + breaks, offset - before.rfind("\n") if breaks else column + offset) if line else (0, 0)

    return locate


def parse_template(text: str, file: str, locate: Locate) -> Template:
    """Return the template of `text`; `locate` gives line and column of an offset in it.

    Raises:
        CelError: with the offset in `text`.
    """
    parts: list[Part] = []
    position = count = 0
    literal = ""
    while found := _OPENING.search(text, position):
        literal += text[position : found.start()]
        if found[0] == "$${":
            literal += "${"
            position = found.end()
            continue
        if literal:
            parts.append(Part(literal))
            literal = ""
        count += 1
        if count > _MAX_EXPRESSIONS:
            raise CelError(f"a text holds at most {_MAX_EXPRESSIONS} expressions", found.start(), "split it")
        part, position = _expression(text, found.end(), locate)
        parts.append(part)
    literal += text[position:]
    is_whole = len(parts) == 1 and parts[0].is_expression and not literal.strip("\n")
    if (literal and not is_whole) or not parts:
        parts.append(Part(literal))
    return Template(text, tuple(parts), file, is_whole)


def _expression(text: str, start: int, locate: Locate) -> tuple[Part, int]:
    window = text[start : start + MAX_EXPRESSION + 1]
    close = closing_brace(window, 0)
    if close < 0:
        raise CelError(
            "this `${` has no closing `}`",
            start - 2,
            "write `$${` for a literal `${`, or close the expression",
        )
    source = window[:close]
    body = source.strip()
    offset = start + len(source) - len(source.lstrip())
    if not body:
        raise CelError("this expression is empty", start - 2)
    _compiled(body, offset)
    return Part(body, True, offset, *locate(offset)), start + close + 1


def _compiled(body: str, offset: int) -> None:
    try:
        compile_program(body)
    except CelError as error:
        raise CelError(error.message, offset + error.offset, error.suggestion) from None


def parse_condition(text: str, file: str, locate: Locate) -> Template:
    """Return the template of a condition.

    Raises:
        CelError: with the offset in `text`.
    """
    body = text.strip()
    offset = len(text) - len(text.lstrip())
    if body.startswith("${"):
        part, end = _expression(text, offset + 2, locate)
        if text[end:].strip():
            raise CelError(
                "a condition is one expression", end, "put all of it inside one `${...}`, or leave `${` out"
            )
        return Template(text, (part,), file, is_whole=True)
    if not body:
        raise CelError("this condition is empty")
    _compiled(body, offset)
    return Template(text, (Part(body, True, offset, *locate(offset)),), file, is_whole=True)


def parse_shell(template: Template) -> ShellTemplate:
    """Return the script whose expressions stand outside single quotes.

    Raises:
        CelError: for an expression inside single quotes, where a shell reads no variable.
    """
    state = " "
    quoting: list[bool] = []
    for part in template.parts:
        if not part.is_expression:
            state = _quoted(part.text, state)
            continue
        if state == "'":
            raise CelError(
                "an expression cannot stand inside single quotes in a script",
                part.offset - 2,
                "use double quotes: the value is passed as a variable, never read as code",
            )
        quoting.append(state == '"')
    return ShellTemplate(template, tuple(quoting))


_SHELL = re.compile(r"\\.|'|\"|(?:(?<=\s)|^)#[^\n]*|[^\\'\"#]+|.", re.DOTALL)


def _quoted(text: str, state: str) -> str:
    """Return which quote is open after `text`, when `state` was open before it; a blank is none."""
    for found in _SHELL.finditer(text):
        mark = found[0]
        if mark in ("'", '"'):
            if state == " ":
                state = mark
            elif state == mark:
                state = " "
        elif state == "'" and mark.startswith("\\") and mark[1:] == "'":
            state = " "  # a backslash means nothing in single quotes, so this quote closes
    return state

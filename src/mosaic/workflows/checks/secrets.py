"""Secrets in a definition: refused at their place, never shown."""

import re
from collections.abc import Iterator

from mosaic.core.errors import Problem
from mosaic.core.redaction import MASK, Redactor, looks_secret, names_secret
from mosaic.workflows.language.document import Document
from mosaic.workflows.language.nodes import ListNode, MapNode, Node, ScalarNode

__all__ = ["find_secrets", "masked"]

_HEADERS = re.compile(r"(?i)(proxy-)?authorization|cookie|x-api-key")
_REFERENCE = frozenset({"secret"})  # `{secret: NAME}` names a secret, it does not hold one
_LITERALS = frozenset({"default", "const"})
_HINT = "take it out of the file (it is in its history too) and name it: {secret: NAME_OF_AN_ENVIRONMENT_VARIABLE}"


def find_secrets(document: Document) -> tuple[list[Problem], list[str]]:
    """Return a problem for each secret in a document, and the values to mask in everything said about it."""
    problems: list[Problem] = []
    values: list[str] = []
    told: set[tuple[int, int]] = set()
    for pointer, key, node in _scalars(document.root):
        text = node.text
        named = key is not None and isinstance(node.value, str) and bool(text) and _held(pointer, key, text)
        place = (node.line, node.column)
        if (
            named or looks_secret(text)
        ) and place not in told:  # an alias stands for one text in several places
            told.add(place)
            values.append(text)
            what = f"`{key}` holds a secret" if named else "This looks like a secret"
            message = f"{what}; a definition never holds one."
            problems.append(Problem(message, pointer, document.file, node.line, node.column, _HINT))
    return problems, values


def _held(pointer: str, key: str, text: str) -> bool:
    if "${" in text or text.startswith("file:"):
        return False
    if key in _LITERALS:  # the default of an input that is called `api_key`
        return names_secret(pointer.rpartition(".")[0].rpartition(".")[2])
    return key not in _REFERENCE and bool(names_secret(key) or _HEADERS.fullmatch(key))


def _scalars(root: Node | None) -> Iterator[tuple[str, str | None, ScalarNode]]:
    """Yield every scalar, keys included, with its pointer and the key it stands under."""
    stack: list[tuple[str, str | None, Node]] = [("", None, root)] if root else []
    while stack:
        pointer, name, node = stack.pop()
        if isinstance(node, ScalarNode):
            yield pointer, name, node
        elif isinstance(node, ListNode):
            stack.extend((f"{pointer}[{index}]", None, item) for index, item in enumerate(node.items))
        elif isinstance(node, MapNode):
            for key, (key_node, item) in node.entries.items():
                shown = MASK if looks_secret(key) else key
                inner = f"{pointer}.{shown}" if pointer else shown
                yield inner, None, key_node
                stack.append((inner, shown, item))


def masked(problems: list[Problem], values: list[str]) -> list[Problem]:
    """Return the problems with every secret masked, wherever a message quotes the file."""
    redactor = Redactor(values)
    short = [value for value in values if 0 < len(value) < 8]

    def clean(text: str) -> str:
        text = redactor.text(text)
        for value in short:
            text = text.replace(f"`{value}`", MASK)
        return text

    return [
        Problem(
            clean(problem.message),
            clean(problem.path),
            problem.file,
            problem.line,
            problem.column,
            clean(problem.suggestion) if problem.suggestion else None,
        )
        for problem in problems
    ]

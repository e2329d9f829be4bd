"""Answers in XML: asking any model for named elements, and reading what it wrote.

Some models keep to elements better than to JSON when the values are long texts or code, because nothing in them has
to be escaped. Reading is therefore forgiving: elements whose content is not XML itself are taken as text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias
from xml.etree import ElementTree

from mosaic.core.errors import ContractViolation, InvalidInput
from mosaic.providers.ai import Message, ModelRequest, ModelResponse
from mosaic.providers.interfaces import AiProvider

__all__ = ["XmlAnswer", "XmlValue", "complete_xml", "read_xml", "with_xml"]

XmlValue: TypeAlias = str | list["XmlValue"] | dict[str, "XmlValue"]
"""An element: its text, or its elements by name; a name that occurs several times has a list."""

_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_ANSWER_LIMIT_CHARACTERS = 4_000_000
_DEEPEST = 50
_MOST_UNCLOSED = 1_000
_OPENING = re.compile(r"<([A-Za-z_][\w.-]*)(?:\s[^<>]*)?>")


@dataclass(frozen=True, slots=True)
class XmlAnswer:
    """What a model wrote as XML, and the whole response it came in."""

    value: XmlValue
    response: ModelResponse


def with_xml(request: ModelRequest, elements: Sequence[str], *, root: str = "answer") -> ModelRequest:
    """Return `request` with the demand to answer in the named elements inside `root`.

    Raises:
        InvalidInput: if a name cannot be an element's, or the request asks for another form already.
    """
    for name in (root, *elements):
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{name!r} cannot be the name of an XML element.")
    if request.output_schema is not None:
        raise InvalidInput("An answer has one form: XML or an output schema.")
    inside = "".join(f"\n<{name}>...</{name}>" for name in elements)
    words = (
        f"Write your final answer as XML, in one element <{root}> and nothing outside it, in this form:\n"
        f"<{root}>{inside}\n</{root}>"
    )
    return replace(request, messages=(Message.of("system", words), *request.messages))


async def complete_xml(
    provider: AiProvider,
    request: ModelRequest,
    elements: Sequence[str],
    *,
    idempotency_key: str,
    root: str = "answer",
) -> XmlAnswer:
    """Ask a model for an answer in XML and read it; one attempt.

    Raises:
        ContractViolation: if the answer has no such element; `data["usage"]` says what it cost.
        MosaicError: as `AiProvider.complete`.
    """
    response = await provider.complete(
        with_xml(request, elements, root=root), idempotency_key=idempotency_key
    )
    try:
        return XmlAnswer(read_xml(response.message.text, root=root), response)
    except ContractViolation as error:
        error.data["usage"] = response.usage.to_json()
        raise


def read_xml(text: str, *, root: str = "answer") -> XmlValue:
    """Return what the last element `root` in `text` holds.

    Raises:
        ContractViolation: if there is none.
    """
    written = text[:_ANSWER_LIMIT_CHARACTERS]
    end = written.rfind(f"</{root}>")
    start = max(written.rfind(f"<{root}>", 0, max(end, 0)), written.rfind(f"<{root} ", 0, max(end, 0)))
    if start < 0 or end < 0:
        raise ContractViolation(
            f"The answer has no element <{root}>.", hint="Ask again, or for a structured answer."
        )
    return _value(written[written.index(">", start) + 1 : end], depth=0)


def _value(inside: str, *, depth: int) -> XmlValue:
    if "<!DOCTYPE" not in inside and "<!ENTITY" not in inside:
        try:
            return _of_element(ElementTree.fromstring(f"<x>{inside}</x>"), depth=depth)  # noqa: S314 - without a document type there are no entities
        except (ElementTree.ParseError, RecursionError):
            pass
    found = _elements(inside)
    if not found or depth > _DEEPEST:
        return inside.strip()
    return _by_name([(name, _value(content, depth=depth + 1)) for name, content in found])


def _of_element(element: ElementTree.Element, *, depth: int) -> XmlValue:
    if len(element) == 0 or depth > _DEEPEST:
        return "".join(element.itertext()).strip()
    return _by_name([(child.tag, _of_element(child, depth=depth + 1)) for child in element])


def _elements(inside: str) -> list[tuple[str, str]]:
    """Return the outermost elements of a text that is not XML throughout, with what they hold."""
    found: list[tuple[str, str]] = []
    position = unclosed = 0
    while unclosed < _MOST_UNCLOSED and (opening := _OPENING.search(inside, position)):
        end = inside.find(f"</{opening[1]}>", opening.end())
        if end < 0:
            position, unclosed = opening.end(), unclosed + 1
            continue
        found.append((opening[1], inside[opening.end() : end]))
        position = end + len(opening[1]) + 3
    return found


def _by_name(children: list[tuple[str, XmlValue]]) -> XmlValue:
    values: dict[str, list[XmlValue]] = {}
    for name, value in children:
        values.setdefault(name, []).append(value)
    return {name: several[0] if len(several) == 1 else several for name, several in values.items()}

"""The templates that a value of the definition holds itself, not in the steps inside it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from typing import Any

from mosaic.workflows.expressions import ShellTemplate, Template, Value

__all__ = ["templates_of"]

_STEPS = frozenset({"branches", "catch", "compensate", "default", "do", "finally_"})


def templates_of(value: Any, *, skip: Collection[str] = ()) -> list[Template]:
    """Return the templates in the fields of a step or check, those named in `skip` left out."""
    found: list[Template] = []
    for item in fields(value):
        if item.name not in _STEPS and item.name not in skip:
            found.extend(_templates(getattr(value, item.name)))
    return found


def _templates(value: object) -> Iterator[Template]:
    if isinstance(value, Template):
        yield value
    elif isinstance(value, ShellTemplate):
        yield value.template
    elif isinstance(value, Value):
        yield from value.templates
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _templates(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _templates(item)

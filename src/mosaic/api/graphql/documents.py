"""Types of the graph, made from the documents of the REST contract: both say the same, and cannot part.

The values behind them are the same JSON too: what an operation returned, field by field.
"""

import types
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import strawberry
from pydantic import BaseModel

from mosaic.api.graphql.scalars import Json, Long, Moment
from mosaic.core.ids import id_prefix

__all__ = ["Documents", "Node", "field_of", "many"]

_LARGE = frozenset({"seq", "head", "after"})
_LARGE_ENDINGS = ("tokens", "bytes")


def field_of(source: Any, name: str) -> Any:
    """Return a field of what an operation returned; absent is null."""
    return source.get(name) if isinstance(source, dict) else getattr(source, name)


@strawberry.interface(description="What has an id of its own.")
class Node:
    """What has an id of its own."""

    id: strawberry.ID


def many(kind: Any) -> Any:
    """Return the type of a list."""
    return list[kind]


def _has_prefix(value: Any, prefix: str) -> bool:
    return isinstance(value, dict) and id_prefix(str(value.get("id"))) == prefix


class Documents:
    """Makes types and remembers them, so that one document is one type."""

    def __init__(self) -> None:
        self._made: dict[type[BaseModel], Any] = {}

    def noun(
        self,
        model: type[BaseModel],
        name: str,
        *,
        fields: Mapping[str, Any] | None = None,
        without: Collection[str] = (),
        prefix: str | None = None,
    ) -> Any:
        """Return the type of a document.

        Args:
            model: the document.
            name: of the type.
            fields: that lead on: name -> `strawberry.field`, in place of or beside those of the document.
            without: fields of the document that the graph shows in another way.
            prefix: of its ids, which makes it a `Node`.
        """
        added = fields or {}
        annotations: dict[str, Any] = {}
        values: dict[str, Any] = {}
        for field, described in model.model_fields.items():
            if field not in without and field not in added:
                annotations[field] = self._annotation(field, described.annotation)
                values[field] = strawberry.field(description=described.description)
        values |= dict(added)
        if prefix is not None:
            annotations["id"] = strawberry.ID
            values["is_type_of"] = classmethod(lambda _cls, value, _info: _has_prefix(value, prefix))
        bases = (Node,) if prefix is not None else ()
        made = type(name, bases, {**values, "__annotations__": annotations, "__module__": __name__})
        description = (model.__doc__ or "").strip().partition("\n")[0]
        self._made[model] = shown = strawberry.type(made, name=name, description=description)
        return shown

    def _annotation(self, field: str, annotation: Any) -> Any:
        origin, inner = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self._annotation(field, inner[0])
        if origin in (Union, types.UnionType):
            rest = [one for one in inner if one is not type(None)]
            one = self._annotation(field, rest[0]) if len(rest) == 1 else Json
            return one | None if len(rest) < len(inner) else one
        if origin is list:
            return many(self._annotation(field, inner[0]))
        return self._plain(field, annotation)

    def _plain(self, field: str, annotation: Any) -> Any:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            known = self._made.get(annotation)
            return known or self.noun(annotation, annotation.__name__.removesuffix("Document"))
        if annotation is int:
            return Long if field in _LARGE or field.endswith(_LARGE_ENDINGS) else int
        if annotation is datetime:
            return Moment
        if get_origin(annotation) is Literal:
            return str
        if annotation is Any:
            return Json | None
        return annotation if annotation in (str, float, bool) else Json

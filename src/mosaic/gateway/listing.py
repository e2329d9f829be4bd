"""`GET /v1/models`: the routes and models that a key may name, in OpenAI's form or Anthropic's."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from mosaic.core.errors import NotFound, PermissionDenied
from mosaic.core.values import JsonObject
from mosaic.gateway.callers import Caller
from mosaic.gateway.wires import anthropic_model, anthropic_models, openai_model, openai_models

__all__ = ["ROUTE", "ListedModel", "ModelListing"]

ROUTE = "route"
"""The owner of what is a route, not a model."""

_CREATED = 1_735_689_600  # clients want a time; a route has none of interest


@dataclass(frozen=True, slots=True)
class ListedModel:
    """Something a client may write as `model`.

    Attributes:
        owner: the provider, or `route`.
    """

    id: str
    owner: str


class ModelListing:
    """Lists what callers may name.

    Args:
        offered: gives what there is now, routes first; no I/O.
    """

    def __init__(self, offered: Callable[[], Iterable[ListedModel]]) -> None:
        self._offered = offered

    def page(self, caller: Caller, model: str, *, anthropic: bool) -> bytes:
        """Return the list, or one entry of it when `model` is not empty.

        Raises:
            NotFound: if the caller may not name `model`, or there is none.
            PermissionDenied: if its key is not for listing.
        """
        if caller.key is not None and not caller.key.admits("models"):
            raise PermissionDenied(
                "This key may not list models.", hint="Ask for a key with the scope `models`."
            )
        found = [
            entry
            for entry in self._offered()
            if caller.may_list(entry.id, entry.id if entry.owner == ROUTE else "")
        ]
        write = _anthropic if anthropic else _openai
        if not model:
            listed = [write(entry) for entry in found]
            return anthropic_models(listed) if anthropic else openai_models(listed)
        for entry in found:
            if entry.id == model:
                return msgspec.json.encode(write(entry))
        raise NotFound(f"There is no model {model!r} for this key.", hint="GET /v1/models lists them.")


def _openai(entry: ListedModel) -> JsonObject:
    return openai_model(entry.id, owner=entry.owner, created=_CREATED)


def _anthropic(entry: ListedModel) -> JsonObject:
    return anthropic_model(entry.id, created=_CREATED)

"""`GET /v1/models`: the routes and models that a key may name, in OpenAI's form or Anthropic's."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from mosaic.core.errors import NotFound, PermissionDenied
from mosaic.gateway.callers import Caller

__all__ = ["ROUTE", "ListedModel", "ModelListing"]

ROUTE = "route"
"""The owner of what is a route, not a model."""

_CREATED = 1_735_689_600  # clients want a time; a route has none of interest
_SHOWN = "2025-01-01T00:00:00Z"


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
        if model:
            for entry in found:
                if entry.id == model:
                    return msgspec.json.encode(write(entry))
            raise NotFound(f"There is no model {model!r} for this key.", hint="GET /v1/models lists them.")
        listed: dict[str, object] = {"data": [write(entry) for entry in found]}
        if anthropic:
            listed |= {
                "has_more": False,
                "first_id": found[0].id if found else None,
                "last_id": found[-1].id if found else None,
            }
        else:
            listed["object"] = "list"
        return msgspec.json.encode(listed)


def _openai(entry: ListedModel) -> dict[str, object]:
    return {"id": entry.id, "object": "model", "created": _CREATED, "owned_by": entry.owner}


def _anthropic(entry: ListedModel) -> dict[str, object]:
    return {"type": "model", "id": entry.id, "display_name": entry.id, "created_at": _SHOWN}

"""A message to a task that waits: which question it is for, and what it says."""

from collections.abc import Sequence

from a2a.types import Message
from a2a.utils.errors import InvalidParamsError

from mosaic.a2a.parts import data_of, said
from mosaic.core.values import JsonObject

__all__ = ["decision_of", "wanted"]

_YES, _NO = frozenset({"yes", "y", "approve"}), frozenset({"no", "n", "reject"})


def wanted(message: Message, waiting: Sequence[str]) -> str:
    """Return the approval that a message answers: the one it names, or the first that waits.

    Raises:
        InvalidParamsError: if the task does not wait for it.
    """
    named = data_of(message).get("approval", waiting[0])
    if named not in waiting:
        raise InvalidParamsError(f"The task does not wait for {str(named)[:100]}.")
    return str(named)


def decision_of(message: Message, approval: JsonObject) -> JsonObject:
    """Return what a message decides: ``approve`` in a data part, or yes or no in words; a question takes any words.

    Raises:
        InvalidParamsError: if it says neither.
    """
    data, text = data_of(message), said(message)
    if isinstance(data.get("approve"), bool):
        note = data.get("note") or text
        return {"approve": data["approve"], "note": str(note) if note else None, "answer": data.get("answer")}
    word = text.lower().strip(" .!")
    if word in _YES | _NO:
        return {"approve": word in _YES}
    if approval["kind"] == "ask" and text:
        return {"approve": True, "answer": text}
    raise InvalidParamsError(
        'It waits for a yes or no: in words, or as a data part {"approve": true} or {"approve": false}.'
    )

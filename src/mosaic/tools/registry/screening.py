"""Compares what a server shows with what was approved of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from mosaic.core.values import JsonObject
from mosaic.events import NewEvent
from mosaic.tools.registry.definitions import difference, digest_of, kept
from mosaic.tools.registry.repository import Standing
from mosaic.tools.registry.schemas import Pin, PinState

__all__ = ["Changes", "compare", "is_as_known"]


@dataclass(slots=True)
class Changes:
    """What has to be written after a comparison: pins (and whether each is new), and events."""

    pins: list[tuple[Pin, bool]] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)


def is_as_known(
    offered: Mapping[str, JsonObject], known: Mapping[str, Standing], shadows: Mapping[str, str]
) -> bool:
    """Say whether nothing has changed, without a question to the database."""
    if len(known) < len(offered) or not known:
        return not offered and not known
    for tool, standing in known.items():
        definition = offered.get(tool)
        if definition is None:
            if not standing.vanished:
                return False
        elif standing.vanished or digest_of(definition) != (standing.offered_digest or standing.digest):
            return False
        if tool in shadows and standing.state is not PinState.QUARANTINED:
            return False
    return all(tool in known for tool in offered)


def compare(
    server: str,
    offered: Mapping[str, JsonObject],
    known: Sequence[Pin],
    *,
    shadows: Mapping[str, str],
    accept_first: bool,
    accept_new: bool,
    at: datetime,
) -> Changes:
    """Return what must be written.

    The first look at a server approves what it shows: whoever adds it sees that. Later a tool that changed is put in
    quarantine, one that appeared is new, and one that is missing is noted.

    Args:
        server: the name under which it is known.
        offered: definitions as they came, by the server's own name of the tool.
        known: the pins there are.
        shadows: tools that would take the place of another, and its name.
        accept_first: where there are no pins yet, what is there is approved.
        accept_new: a tool that appears later is approved as it comes.
        at: now.
    """
    made, before = Changes(), {pin.tool: pin for pin in known}
    for tool, definition in offered.items():
        found = before.get(tool)
        if found is None:
            approved = accept_new or (accept_first and not known)
            pin = Pin(
                server,
                tool,
                PinState.PINNED if approved else PinState.NEW,
                digest_of(definition),
                kept(definition),
                at,
            )
            if not approved or known:
                _note(made, "tool.appeared", pin, {"state": pin.state.value, "definition": pin.definition})
        else:
            pin = _compared(found, definition, made, at)
        if tool in shadows and pin.state is not PinState.QUARANTINED:
            reason = f"it would take the place of {shadows[tool]}"
            pin = replace(pin, state=PinState.QUARANTINED, reason=reason, changed_at=at)
            _note(made, "tool.quarantined", pin, {"reason": reason})
        if pin is not found:
            made.pins.append((pin, found is None))
    _note_vanished(made, offered, known, at)
    return made


def _compared(pin: Pin, definition: JsonObject, made: Changes, at: datetime) -> Pin:
    digest = digest_of(definition)
    seen = pin
    if pin.vanished_at is not None:
        pin = replace(pin, vanished_at=None, changed_at=at)
        _note(made, "tool.returned", pin, {})
    if digest == seen.current:
        return pin
    shown = kept(definition)
    if seen.state is PinState.NEW:  # nobody has approved anything of it yet
        return replace(pin, digest=digest, definition=shown, changed_at=at)
    changed = difference(pin.definition, shown)
    if digest == pin.digest:
        # It is again as it was approved; a server that changes back and forth has to be looked at all the same.
        return replace(pin, offered_digest=None, offered=None, changed_at=at)
    reason = "it is not what was approved: its description, schema or annotations changed"
    pin = replace(
        pin, state=PinState.QUARANTINED, offered_digest=digest, offered=shown, reason=reason, changed_at=at
    )
    _note(made, "tool.quarantined", pin, {"reason": reason, "difference": changed, "offered_digest": digest})
    return pin


def _note_vanished(
    made: Changes, offered: Mapping[str, JsonObject], known: Iterable[Pin], at: datetime
) -> None:
    for pin in known:
        if pin.tool not in offered and pin.vanished_at is None:
            gone = replace(pin, vanished_at=at)
            made.pins.append((gone, False))
            _note(made, "tool.vanished", gone, {})


def _note(made: Changes, event: str, pin: Pin, more: JsonObject) -> None:
    made.events.append(
        NewEvent(event, {"tool": pin.name, "server": pin.server, "digest": pin.digest, **more})
    )

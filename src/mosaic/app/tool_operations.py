"""What every door can ask about tools, as plain JSON: servers, tools, what is approved of them, calls."""

from collections.abc import Sequence
from typing import Any

from mosaic.app.outside import Outside
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, NotFound
from mosaic.core.values import JsonObject, JsonValue
from mosaic.tools import (
    ApprovalNeeded,
    NewServer,
    Pin,
    PinState,
    Toolboxes,
    ToolRegistry,
    ToolSpec,
)
from mosaic.tools.hygiene import findings
from mosaic.tools.registry.definitions import difference

__all__ = ["ToolOperations"]

_CLIENT = "the owner"
_SHOWN_CHARACTERS = 400


class ToolOperations:
    """Servers and tools of one installation. Every result is JSON, every call is scoped by its context.

    Args:
        registry: what is registered and approved.
        boxes: connects to servers.
        outside: the tools of calls outside any run, and the calls.
    """

    def __init__(self, registry: ToolRegistry, boxes: Toolboxes, outside: Outside) -> None:
        self._registry = registry
        self._boxes = boxes
        self._outside = outside

    # -- servers ------------------------------------------------------------------------------------------------

    async def add_server(self, ctx: Context, wanted: JsonObject) -> JsonObject:
        """Register an MCP server: connect, approve the tools it shows, and return them.

        Raises:
            InvalidInput: naming each field that is wrong.
            Conflict: if there is one of that name.
            Unavailable: if it cannot be reached; nothing is registered then.
        """
        new = _new_server(wanted)
        record = new.checked()
        listed = await self._boxes.look(ctx, record.name, self._registry.reach(record))
        record = await self._registry.add(ctx, new)
        await self._registry.screen(ctx, record.name, listed.offered, first=True)
        shown = await self.tools(ctx, server=record.name)
        return {"server": record.to_json(), "tools": shown["items"]}

    async def servers(self, ctx: Context) -> JsonObject:
        """Return the tenant's registered servers, with how many tools stand in which state."""
        await self._registry.refresh()
        pins = await self._registry.pins(ctx)
        items = []
        for name, record in sorted(self._registry.servers(ctx).items()):
            states = [pin.state.value for pin in pins if pin.server == name and pin.vanished_at is None]
            counts = {state.value: states.count(state.value) for state in PinState}
            items.append({**record.to_json(), "states": counts})
        return {"items": items}

    async def remove_server(self, ctx: Context, name: str) -> JsonObject:
        """Remove a server and what is approved of it."""
        await self._registry.remove(ctx, name)
        return {"id": name, "removed": True}

    async def pin_server(self, ctx: Context, name: str) -> JsonObject:
        """Look at a server again and accept all its tools as they are now.

        Raises:
            NotFound: if nothing was ever seen of it.
            Unavailable: if it cannot be reached.
        """
        toolbox = await self._outside.toolbox(ctx)
        if (error := toolbox.unreachable.get(name)) is not None:
            raise error
        pins = [pin for pin in await self._registry.pins(ctx, name) if pin.vanished_at is None]
        if not pins:
            raise NotFound(
                f"There is no MCP server {name!r} with tools.", hint="`mosaic tools servers` shows them."
            )
        for pin in pins:
            if pin.state is not PinState.PINNED or pin.offered_digest is not None:
                await self._registry.approve(ctx, f"{pin.server}.{pin.tool}", digest=pin.current)
        return await self.tools(ctx, server=name)

    # -- tools --------------------------------------------------------------------------------------------------

    async def tools(
        self, ctx: Context, *, search: str | None = None, server: str | None = None, view: str | None = None
    ) -> JsonObject:
        """Return the tools that can be called outside runs, those in quarantine, and those that vanished.

        Args:
            ctx: the tenant and project.
            search: words; each must stand in a tool's name or description; the best matches come first.
            server: only of this server or namespace.
            view: only those of a view.
        """
        toolbox = await self._outside.toolbox(ctx, view=view)
        pins = {pin.name: pin for pin in await self._registry.pins(ctx)}
        rows = [_row(spec, pins.get(spec.name)) for spec in toolbox.specs()]
        rows += [_stopped(name, pins.get(name), why) for name, why in toolbox.quarantined.items()]
        if view is None:
            shown = {row["name"] for row in rows}
            rows += [
                _stopped(name, pin, "its server no longer offers it")
                for name, pin in pins.items()
                if pin.vanished_at is not None and name not in shown
            ]
        if server is not None:
            rows = [row for row in rows if row["name"].startswith(f"{server}.")]
        rows = _found(rows, search) if search else sorted(rows, key=lambda row: str(row["name"]))
        gone = {name: error.to_json() for name, error in toolbox.unreachable.items()}
        return {"items": rows, "unreachable": gone}

    async def tool(self, ctx: Context, name: str) -> JsonObject:
        """Return one tool: what it says of itself, how it stands, what changed, and what is suspicious.

        Raises:
            NotFound: if there is none of that name.
        """
        toolbox = await self._outside.toolbox(ctx)
        pins = {pin.name: pin for pin in await self._registry.pins(ctx)}
        pin = pins.get(name) or next(
            (found for found in pins.values() if f"{found.server}.{found.tool}" == name), None
        )
        shown: JsonObject = {
            "pin": pin.to_json() if pin is not None else None,
            "findings": [],
            "difference": None,
        }
        if pin is not None and (pin.name in toolbox.quarantined or pin.vanished_at is not None):
            why = toolbox.quarantined.get(pin.name, "its server no longer offers it")
            shown |= _stopped(pin.name, pin, why)
        else:
            spec = toolbox.get(name).spec
            shown |= {**spec.to_json(), **_row(spec, pin), "description": spec.description}
        if pin is not None:
            others = [other for other in toolbox.names if not other.startswith(f"{pin.server}.")]
            shown["findings"] = findings(pin.offered or pin.definition, others)
            shown["approved_definition"] = pin.definition
            if pin.offered is not None:
                shown["difference"] = difference(pin.definition, pin.offered)
        return shown

    async def approve_tool(self, ctx: Context, name: str, *, digest: str | None = None) -> JsonObject:
        """Accept a tool as its server shows it now; with `digest`, only if it is what the approver has seen."""
        return (await self._registry.approve(ctx, name, digest=digest)).to_json()

    async def quarantine_tool(self, ctx: Context, name: str, *, reason: str = "") -> JsonObject:
        """Stop a tool from being called until somebody approves it."""
        return (await self._registry.quarantine(ctx, name, reason=reason)).to_json()

    # -- calls --------------------------------------------------------------------------------------------------

    async def call_tool(
        self,
        ctx: Context,
        name: str,
        arguments: JsonObject,
        *,
        view: str | None = None,
        why: str | None = None,
        idempotency_key: str | None = None,
    ) -> JsonObject:
        """Call a tool through the door.

        Returns:
            ``status`` `completed` with a ``result``, or `waiting` with the ``approval`` that a person has to answer
            and the ``call_id`` by which the result is found later.
        """
        toolbox = await self._outside.toolbox(ctx, view=view)
        try:
            result = await self._outside.calls.call(
                ctx,
                tool=name,
                arguments=arguments,
                toolbox=toolbox,
                policy=await self._outside.policy(ctx),
                client=_CLIENT,
                idempotency_key=idempotency_key,
                why=why,
                view=view,
            )
        except ApprovalNeeded as asked:
            return {
                "status": "waiting",
                "approval": asked.data["approval_id"],
                "call_id": asked.data.get("call_id"),
                "result": None,
            }
        return {"status": "completed", "result": result.to_json(), "approval": None, "call_id": None}

    async def tool_call(self, ctx: Context, call_id: str) -> JsonObject:
        """Return where a call that had to wait stands, with its result once it has one.

        Raises:
            NotFound: if the caller has no such call.
        """
        found = await self._outside.calls.state(ctx, call_id)
        return {
            "id": found.id,
            "state": found.state,
            "created_at": found.created_at.isoformat(),
            "changed_at": found.changed_at.isoformat(),
            "approval": found.approval.id if found.approval is not None else None,
            "result": found.result.to_json() if found.result is not None else None,
            "error": found.error.to_json() if found.error is not None else None,
        }

    async def cancel_tool_call(self, ctx: Context, call_id: str) -> JsonObject:
        """Stop a call that waits, and withdraw what it asks."""
        await self._outside.calls.cancel(ctx, call_id)
        return await self.tool_call(ctx, call_id)


def _new_server(wanted: JsonObject) -> NewServer:
    known = set(NewServer.__slots__)
    if unknown := [str(name)[:60] for name in wanted if name not in known]:
        raise InvalidInput(
            f"Unknown fields of a server: {', '.join(unknown)}.", hint=f"There are {sorted(known)}."
        )
    given: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    for name in ("command", "tools"):
        given[name] = tuple(map(str, given.get(name) or ()))
    return NewServer(**given)


def _row(spec: ToolSpec, pin: Pin | None) -> JsonObject:
    return {
        "name": spec.name,
        "description": spec.description[:_SHOWN_CHARACTERS],
        "risk": spec.risk.value,
        "effects": sorted(effect.value for effect in spec.effects),
        "source": spec.source,
        "state": pin.state.value if pin is not None else "built-in",
        "reason": None,
        "findings": findings(pin.definition) if pin is not None else [],
    }


def _stopped(name: str, pin: Pin | None, why: str) -> JsonObject:
    said: JsonValue = pin.definition.get("description") if pin is not None else None
    vanished = pin is not None and pin.vanished_at is not None
    return {
        "name": name,
        "description": str(said or "")[:_SHOWN_CHARACTERS],
        "risk": None,
        "effects": [],
        "source": f"mcp:{name.partition('.')[0]}",
        "state": "vanished" if vanished else PinState.QUARANTINED.value,
        "reason": why,
        "findings": findings(pin.offered or pin.definition) if pin is not None else [],
    }


def _found(rows: Sequence[JsonObject], search: str) -> list[JsonObject]:
    """Return the rows in which every word stands, those with the words in their names first."""
    words = search.casefold().split()[:20]
    ranked = []
    for row in rows:
        name, about = str(row["name"]).casefold(), str(row["description"]).casefold()
        if all(word in name or word in about for word in words):
            in_name = sum(word in name for word in words)
            parts = name.replace("_", ".").replace("-", ".").split(".")
            ranked.append((-sum(word in parts for word in words), -in_name, name, row))
    return [row for *_, row in sorted(ranked, key=lambda item: item[:3])]

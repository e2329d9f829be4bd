"""`/api/v1/ws/{run_id}`: a run as its agents' frames, a view of the same journal."""

import asyncio
import contextlib
import re
from collections.abc import Iterator

from mosaic.api.feed import Feed
from mosaic.api.live_socket.channel import Channel, CloseCode, end_tasks, error_json
from mosaic.api.topics import Topic, find_topic, follow
from mosaic.app.build import Application
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, MosaicError
from mosaic.core.values import JsonObject

__all__ = ["frames_of", "read_cursor", "show_run"]

_CURSOR = re.compile(r"(\d{1,18})(?:\.(\d))?", re.ASCII)
_ENDS = frozenset({"run.succeeded", "run.failed", "run.cancelled"})


def read_cursor(text: str | None) -> tuple[int, int]:
    """Return the place in the journal and how many frames of the event after it were seen.

    Raises:
        InvalidInput: if it is no cursor.
    """
    if text is None:
        return 0, 0
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise InvalidInput("`after` must be the `cursor` of a frame, or a place in the journal.")
    # `7.1`: the first frame of event 7 was seen, so that the event is read again.
    seq, part = int(found[1]), found[2]
    return (seq, 0) if part is None else (max(0, seq - 1), int(part))


def frames_of(event: JsonObject) -> Iterator[JsonObject]:
    """Yield the frames that an event is shown as: none for most, two for a tool's call and its result.

    Each has `type`, `run_id`, `seq`, `step`, `at`, `cursor` and what it says in `data`.
    """
    shown = list(_shown(str(event["type"]), event["data"]))
    for number, (kind, data) in enumerate(shown, start=1):
        yield {
            "type": kind,
            "run_id": event["run_id"],
            "seq": event["seq"],
            "cursor": str(event["seq"]) if number == len(shown) else f"{event['seq']}.{number}",
            "step": event["path"],
            "at": event["occurred_at"],
            "data": data,
        }


def _shown(kind: str, data: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    if kind == "agent.message":
        yield "agent_message", _some(data, "agent", "turn", "text", "truncated")
    elif kind in ("tool.called", "tool.failed"):
        yield "tool_call", _some(data, "tool", "agent", "risk", "arguments", "approval", "approved_by")
        result = _some(data, "tool", "agent", "result", "error", "blob", "duration_ms")
        yield "tool_result", {**result, "failed": kind == "tool.failed"}
    elif kind in ("tool.denied", "tool.rejected"):
        yield "tool_call", _some(data, "tool", "agent", "risk", "arguments", "approval")
        yield "tool_result", {**_some(data, "tool", "agent", "reason", "error", "note"), "failed": True}
    elif kind == "handoff.made":
        yield "handoff", _some(data, "from", "to", "kind", "task", "turn")
    elif kind in ("run.succeeded", "run.cancelled"):
        yield "completion", {"status": kind.partition(".")[2], **_some(data, "outputs", "reason")}
    elif kind in ("run.failed", "step.failed", "agent.failed", "model.failed"):
        yield "error", {"of": kind.partition(".")[0], "final": kind == "run.failed", **_some(data, "error")}


def _some(data: JsonObject, *names: str) -> JsonObject:
    return {name: data[name] for name in names if name in data}


async def show_run(
    channel: Channel, app: Application, ctx: Context, *, feed: Feed, run_id: str, after: str | None
) -> None:
    """Send a run's frames until it ends, the client goes or this server stops."""
    try:
        place, seen = read_cursor(after)
        topic = await find_topic(app, ctx, "run", run_id)
    except MosaicError as error:
        await channel.send(
            {"type": "error", "run_id": run_id, "data": {"final": True, "error": error_json(error)}}
        )
        await channel.close(CloseCode.BAD_MESSAGE, error.message)
        return
    tasks = [
        asyncio.create_task(_frames(channel, feed, topic, place=place, seen=seen)),
        asyncio.create_task(_drain(channel)),
        asyncio.create_task(app.stopping.wait()),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_tasks(tasks)
        await channel.close(CloseCode.GOING_AWAY, "the server stops, or failed")


async def _frames(channel: Channel, feed: Feed, topic: Topic, *, place: int, seen: int) -> None:
    async with contextlib.aclosing(follow(feed, topic, after=place)) as entries:
        async for entry in entries:
            frames = list(frames_of(entry.event))
            for frame in frames[seen if entry.seq == place + 1 else 0 :]:
                await channel.send(frame)
            if entry.event["type"] in _ENDS:
                await channel.close(CloseCode.DONE, "the run has ended")
                return


async def _drain(channel: Channel) -> None:
    """Take what the client says, which is nothing to us, until it goes."""
    while True:
        with contextlib.suppress(InvalidInput):
            await channel.receive()

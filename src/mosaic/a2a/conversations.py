"""What was said about a task: kept in the journal, which is redacted and outlives every process."""

from a2a.types import Message
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from mosaic.core.context import Context
from mosaic.events import Journal, NewEvent
from mosaic.storage import Database

__all__ = ["Conversations"]

_EVENT = "a2a.message"
_MOST_MESSAGES = 200


class Conversations:
    """Messages of tasks."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal

    async def keep(self, ctx: Context, run_id: str, message: Message) -> None:
        """Keep a message of a task, once for each message id."""
        if any(known.message_id == message.message_id for known in await self.history(ctx, run_id)):
            return
        shown = MessageToDict(message)
        async with self._database.transaction() as tx:
            await self._journal.append(tx, ctx, [NewEvent(_EVENT, {"message": shown}, run_id=run_id)])

    async def history(self, ctx: Context, run_id: str) -> list[Message]:
        """Return the messages of a task, oldest first."""
        events = await self._journal.read(ctx, run_id=run_id, types=[_EVENT], limit=_MOST_MESSAGES)
        found = []
        for event in events:
            try:
                found.append(ParseDict(event.data["message"], Message(), ignore_unknown_fields=True))
            except (ParseError, KeyError, TypeError):
                continue  # so long that it is kept apart, or of another release
        return found

"""Sends one attempt: as it is to a provider of the client's own protocol, translated to any other."""

from mosaic.core.errors import MosaicError
from mosaic.inference.attempt import Attempt
from mosaic.inference.door_call import Answer
from mosaic.inference.door_rooms import DoorRooms
from mosaic.inference.other_operations import count_tokens, embed
from mosaic.inference.pass_through import PassThrough
from mosaic.inference.passage import Passage
from mosaic.inference.translation import Translation
from mosaic.providers import WireEndpoint
from mosaic.routing import Target

__all__ = ["Sending"]


class Sending:
    """Attempts at targets."""

    def __init__(self, rooms: DoorRooms) -> None:
        self.rooms = rooms
        self._pass_through = PassThrough(rooms)
        self._translation = Translation(rooms)

    async def send(self, passage: Passage, target: Target) -> Answer:
        """Return the answer of a target that `Guards.admit` let the call to.

        Raises:
            MosaicError: if it did not answer; what it set aside is put right.
        """
        attempt = passage.attempt(target)
        try:
            await attempt.begin()
        except BaseException:
            self.rooms.guards.unused(target)
            raise
        call, provider = passage.call, attempt.provider
        try:
            # What a `WireSpeaker` has; asking the protocol itself looks at every member, each time.
            speaks = getattr(provider, "endpoint", None)
            if speaks is not None:
                model = target.model or call.peek.model
                endpoint: WireEndpoint | None = speaks(call.codec.name, model, stream=call.peek.stream)
                if endpoint is not None:
                    return await self._pass_through.send(passage, attempt, endpoint)
            return await self._otherwise(passage, attempt)
        except MosaicError as error:
            attempt.failed(error)
            raise
        except BaseException:
            attempt.left()
            raise

    async def _otherwise(self, passage: Passage, attempt: Attempt) -> Answer:
        """Ask a provider that does not speak the client's protocol."""
        call, provider = passage.call, attempt.provider
        if call.codec.name == "openai.embeddings":
            return await embed(passage, attempt, provider)
        if call.codec.name == "anthropic.count_tokens":
            return await count_tokens(passage, attempt, provider)
        return await self._translation.send(passage, attempt, provider)

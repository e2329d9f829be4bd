"""What a delivery looks like, made by whoever knows the receiver."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mosaic.core.context import Context
from mosaic.events import Event
from mosaic.webhooks.schemas import Webhook

__all__ = ["FormMaker", "Message"]


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent.

    Attributes:
        headers: with the signature, or whatever proves the sender.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes


class FormMaker(Protocol):
    """Makes the messages of one form."""

    def problem(self, webhook: Webhook) -> str | None:
        """Return why this process cannot deliver to a subscription; None when it can."""
        ...

    async def message(self, ctx: Context, webhook: Webhook, event: Event) -> Message | None:
        """Return what a subscription is sent for an event, each time the same; None when it is nothing to it.

        Raises:
            MosaicError: if it cannot be made now; it is tried again.
        """
        ...

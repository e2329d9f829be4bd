"""The usual form of a delivery: the event as a CloudEvent, signed as Standard Webhooks says."""

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import Unavailable
from mosaic.events import Event
from mosaic.outbound import sign
from mosaic.webhooks.cloud_events import MEDIA_TYPE, event_body
from mosaic.webhooks.interfaces import Message
from mosaic.webhooks.keys import SecretMaker
from mosaic.webhooks.schemas import Webhook

__all__ = ["SignedEvents"]


class SignedEvents:
    """Makes signed CloudEvents.

    Args:
        secrets: makes what they are signed with.
        max_body_bytes: the longest message.
        clock: the time.
    """

    def __init__(self, secrets: SecretMaker, *, max_body_bytes: int, clock: Clock = now) -> None:
        self._secrets = secrets
        self._max_body_bytes = max_body_bytes
        self._clock = clock

    def problem(self, webhook: Webhook) -> str | None:
        """Return why nothing can be signed for a subscription."""
        try:
            self._secrets.key(webhook)
        except Unavailable as error:
            return f"{error.message} {error.hint}"
        return None

    async def message(self, _ctx: Context, webhook: Webhook, event: Event) -> Message:
        """Return the event, signed; with the secret before the last rotation too, while that is good."""
        return self.signed(webhook, event.id, event_body(event, most_bytes=self._max_body_bytes))

    def signed(self, webhook: Webhook, message_id: str, body: bytes) -> Message:
        """Return a message for a subscription."""
        moment = self._clock()
        old_key = None
        if webhook.old_salt is not None and webhook.old_until is not None and webhook.old_until > moment:
            old_key = self._secrets.key(webhook, webhook.old_salt)
        headers = sign(
            self._secrets.key(webhook), message_id=message_id, moment=moment, body=body, old_key=old_key
        )
        return Message(webhook.url, {"content-type": MEDIA_TYPE, **headers}, body)

"""Webhooks as the settings declare them, and answers that come in signed by one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mosaic.core.clock import Clock, now
from mosaic.core.errors import MosaicError, Unauthenticated
from mosaic.outbound import key_of, verify

__all__ = ["Inbound", "Webhook", "WebhookKeys"]


@dataclass(frozen=True, slots=True)
class Webhook:
    """A place that is told of approvals, and may answer them.

    Attributes:
        name: as the settings call it; it answers as ``webhook:<name>``.
        secret: the variable that holds its secret.
        url: where it is told; None when it only answers.
        events: what it is told: ``requested``, ``voted``, ``decided``, ``expired``.
        roles: what it answers as; without any it may not answer.
        tolerance_s: how far its clock may be from ours.
    """

    name: str
    secret: str
    url: str | None = None
    events: tuple[str, ...] = ("requested", "decided", "expired")
    roles: tuple[str, ...] = ()
    tolerance_s: float = 300.0


class WebhookKeys:
    """Keys of webhooks, looked up at the moment they are needed.

    Args:
        environ: where the secrets are.
        learn: is told each secret, so that it is masked wherever it might show up.
    """

    def __init__(self, environ: Mapping[str, str], learn: Callable[[str], None]) -> None:
        self._environ = environ
        self._learn = learn

    def of(self, webhook: Webhook) -> bytes:
        """Return a webhook's key.

        Raises:
            InvalidInput: if its variable is not set, or holds no secret.
        """
        secret = self._environ.get(webhook.secret, "")
        if secret:
            self._learn(secret)
        return key_of(secret, name=f"The variable {webhook.secret} of the webhook {webhook.name}")


class Inbound:
    """Says which webhook has signed a message.

    Args:
        webhooks: all of them.
        keys: their keys.
        clock: the time.
    """

    def __init__(self, webhooks: Sequence[Webhook], keys: WebhookKeys, *, clock: Clock = now) -> None:
        self._webhooks = tuple(webhook for webhook in webhooks if webhook.roles)
        self._keys = keys
        self._clock = clock

    def sender(self, headers: Mapping[str, str], body: bytes) -> tuple[Webhook, str]:
        """Return who has signed a message, and its id.

        Raises:
            Unauthenticated: if nobody has who may answer.
        """
        refused: MosaicError = Unauthenticated(
            "No webhook may answer here.",
            hint="Give one `roles` in the settings: approvals.webhooks.",
        )
        moment = self._clock()
        for webhook in self._webhooks:
            try:
                key = self._keys.of(webhook)
                message_id = verify(key, headers, body, moment=moment, tolerance_s=webhook.tolerance_s)
            except Unauthenticated as error:
                refused = error
            except (
                MosaicError
            ):  # without a key nobody signs as this one; how it is misset is not for strangers
                refused = Unauthenticated("The message is not taken: the signature does not fit.")
            else:
                return webhook, message_id
        raise refused

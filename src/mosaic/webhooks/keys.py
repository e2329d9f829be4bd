"""The secrets of subscriptions: made from the installation's key when they are needed, and kept nowhere."""

import hashlib
import hmac
import secrets

from mosaic.core.errors import Unavailable
from mosaic.outbound import secret_of
from mosaic.webhooks.schemas import Webhook

__all__ = ["SecretMaker"]

_LEAST_CHARACTERS = 32
_SALT_BYTES = 24


class SecretMaker:
    """Makes the secret of each subscription from one key, so that whoever reads the database can sign nothing.

    Args:
        key: the installation's; every node that delivers needs the same one.

    Attributes:
        key_id: tells this key from another, and nothing about it.

    Raises:
        Unavailable: if the key is too short to be one.
    """

    def __init__(self, key: str) -> None:
        if len(key) < _LEAST_CHARACTERS:
            raise Unavailable(
                "The key for webhooks is too short.",
                hint=f"MOSAIC_WEBHOOK_KEY needs at least {_LEAST_CHARACTERS} random characters.",
            )
        self._key = key.encode()
        self.key_id = self._made("key id").hex()[:16]

    @staticmethod
    def salt() -> str:
        """Return a new salt."""
        return secrets.token_hex(_SALT_BYTES)

    def fits(self, webhook: Webhook) -> bool:
        """Say whether the subscription's secret was made with this key."""
        return hmac.compare_digest(webhook.key_id, self.key_id)

    def key(self, webhook: Webhook, salt: str | None = None) -> bytes:
        """Return what a subscription's messages are signed with.

        Raises:
            Unavailable: if another key made its secret.
        """
        if not self.fits(webhook):
            raise Unavailable(
                f"The secret of the webhook {webhook.name} was made with another key than this process has.",
                hint="Set the same MOSAIC_WEBHOOK_KEY on every node, or rotate the secret: "
                f"`mosaic webhooks rotate {webhook.name}`.",
            )
        return self._made(f"secret\n{webhook.tenant}\n{webhook.id}\n{salt or webhook.salt}")

    def secret(self, webhook: Webhook) -> str:
        """Return a subscription's secret, as its receiver needs it."""
        return secret_of(self.key(webhook))

    def _made(self, text: str) -> bytes:
        return hmac.digest(self._key, f"mosaic webhook 1\n{text}".encode(), hashlib.sha256)

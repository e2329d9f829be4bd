"""What commands can ask about webhooks, and how the client of a running server asks it."""

from abc import abstractmethod
from typing import Any, Protocol
from urllib.parse import quote

from mosaic.core.values import JsonObject

__all__ = ["WebhookClient", "WebhookRequests"]


class WebhookClient(Protocol):
    """What a command can ask for about webhooks. See `EventWebhooks`."""

    async def create_webhook(self, wanted: JsonObject) -> JsonObject:
        """Make a webhook; the answer has its secret, this once."""
        ...

    async def webhooks(self) -> JsonObject:
        """Return the webhooks and what each has not been told yet."""
        ...

    async def webhook(self, name: str) -> JsonObject:
        """Return one webhook by its id or name."""
        ...

    async def update_webhook(self, name: str, changes: JsonObject) -> JsonObject:
        """Change a webhook."""
        ...

    async def rotate_webhook(self, name: str, *, overlap_s: float = 86_400.0) -> JsonObject:
        """Give a webhook another secret."""
        ...

    async def remove_webhook(self, name: str) -> JsonObject:
        """Remove a webhook and what waits for it."""
        ...

    async def test_webhook(self, name: str) -> JsonObject:
        """Send a webhook one message now."""
        ...

    async def webhook_deliveries(
        self, name: str, *, status: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> JsonObject:
        """Return a page of a webhook's deliveries, newest first."""
        ...

    async def redeliver(self, name: str, delivery_id: str) -> JsonObject:
        """Have one delivery made again."""
        ...

    async def replay_webhook(self, name: str, *, after: int) -> JsonObject:
        """Tell a webhook everything after a journal sequence again."""
        ...


class WebhookRequests:
    """The webhooks' part of `HttpClient`."""

    @abstractmethod
    async def json(self, method: str, path: str, **options: Any) -> JsonObject:
        """Send a request and return the answer, or raise the error it tells of."""

    async def create_webhook(self, wanted: JsonObject) -> JsonObject:
        """Make a webhook."""
        return await self.json("POST", "/webhooks", json=wanted)

    async def webhooks(self) -> JsonObject:
        """Return the webhooks."""
        return await self.json("GET", "/webhooks")

    async def webhook(self, name: str) -> JsonObject:
        """Return one webhook."""
        return await self.json("GET", _webhook(name))

    async def update_webhook(self, name: str, changes: JsonObject) -> JsonObject:
        """Change a webhook."""
        return await self.json("PATCH", _webhook(name), json=changes)

    async def rotate_webhook(self, name: str, *, overlap_s: float = 86_400.0) -> JsonObject:
        """Give a webhook another secret."""
        return await self.json("POST", f"{_webhook(name)}/rotate", json={"overlap_s": overlap_s})

    async def remove_webhook(self, name: str) -> JsonObject:
        """Remove a webhook."""
        return await self.json("DELETE", _webhook(name))

    async def test_webhook(self, name: str) -> JsonObject:
        """Send a webhook one message now."""
        return await self.json("POST", f"{_webhook(name)}/test")

    async def webhook_deliveries(
        self, name: str, *, status: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> JsonObject:
        """Return a page of a webhook's deliveries."""
        query = {"status": status, "limit": limit, "cursor": cursor}
        given = {key: value for key, value in query.items() if value is not None}
        return await self.json("GET", f"{_webhook(name)}/deliveries", params=given)

    async def redeliver(self, name: str, delivery_id: str) -> JsonObject:
        """Have one delivery made again."""
        path = f"{_webhook(name)}/deliveries/{quote(delivery_id, safe='')}/redeliver"
        return await self.json("POST", path)

    async def replay_webhook(self, name: str, *, after: int) -> JsonObject:
        """Tell a webhook everything after a journal sequence again."""
        return await self.json("POST", f"{_webhook(name)}/replay", json={"after": after})


def _webhook(name: str) -> str:
    return f"/webhooks/{quote(name, safe='')}"

"""What a command can ask about the policy for tool calls: the interface, and its part of the client of a server."""

from abc import abstractmethod
from typing import Any, Protocol
from urllib.parse import quote

from mosaic.core.values import JsonObject

__all__ = ["PolicyClient", "PolicyRequests"]


class PolicyClient(Protocol):
    """What a command can ask for about the policy; both clients have it. See `PolicyOperations`."""

    async def policy(self) -> JsonObject:
        """Return the policy in force."""
        ...

    async def explain_policy(self, wanted: JsonObject) -> JsonObject:
        """Return what would become of a call, and why.

        Raises:
            InvalidInput: naming each field that is wrong.
        """
        ...

    async def check_policy(self, wanted: JsonObject) -> JsonObject:
        """Return every problem of files."""
        ...

    async def test_policy(self, wanted: JsonObject) -> JsonObject:
        """Judge cases and compare."""
        ...

    async def policy_rules(
        self, *, project: str | None = None, run_id: str | None = None, revoked: bool = False
    ) -> JsonObject:
        """Return the rules of the file and the standing rules."""
        ...

    async def revoke_policy_rule(self, rule_id: str) -> JsonObject:
        """Make a standing rule hold no longer."""
        ...

    async def policy_versions(self) -> JsonObject:
        """Return the versions that were in force."""
        ...

    async def policy_version(self, version: str) -> JsonObject:
        """Return a version with its files."""
        ...


class PolicyRequests:
    """The policy's part of `HttpClient`."""

    @abstractmethod
    async def json(self, method: str, path: str, **options: Any) -> JsonObject:
        """Send a request and return the answer, or raise the error it tells of."""

    async def policy(self) -> JsonObject:
        """Return the policy in force."""
        return await self.json("GET", "/policy")

    async def explain_policy(self, wanted: JsonObject) -> JsonObject:
        """Return what would become of a call, and why."""
        return await self.json("POST", "/policy/explain", json=wanted)

    async def check_policy(self, wanted: JsonObject) -> JsonObject:
        """Return every problem of files."""
        return await self.json("POST", "/policy/check", json=wanted)

    async def test_policy(self, wanted: JsonObject) -> JsonObject:
        """Judge cases and compare."""
        return await self.json("POST", "/policy/test", json=wanted)

    async def policy_rules(
        self, *, project: str | None = None, run_id: str | None = None, revoked: bool = False
    ) -> JsonObject:
        """Return the rules of the file and the standing rules."""
        query = {"project": project, "run_id": run_id, "revoked": revoked or None}
        given = {name: value for name, value in query.items() if value is not None}
        return await self.json("GET", "/policy/rules", params=given)

    async def revoke_policy_rule(self, rule_id: str) -> JsonObject:
        """Make a standing rule hold no longer."""
        return await self.json("POST", f"/policy/rules/{quote(rule_id, safe='')}/revoke")

    async def policy_versions(self) -> JsonObject:
        """Return the versions that were in force."""
        return await self.json("GET", "/policy/versions")

    async def policy_version(self, version: str) -> JsonObject:
        """Return a version with its files."""
        return await self.json("GET", f"/policy/versions/{quote(version, safe='')}")

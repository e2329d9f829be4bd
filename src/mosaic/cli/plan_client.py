"""What commands can ask about plans, and how the client of a running server asks it."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol
from urllib.parse import quote

from mosaic.core.values import JsonObject

__all__ = ["PlanClient", "PlanRequests"]


class PlanClient(Protocol):
    """What a command can ask for about plans. See `PlanOperations`."""

    async def create_plan(self, wanted: JsonObject) -> JsonObject:
        """Make a plan, empty, from operations or from a YAML document."""
        ...

    async def plans(
        self, *, project: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> JsonObject:
        """Return a page of plans, newest first."""
        ...

    async def plan(self, plan_id: str) -> JsonObject:
        """Return one plan and where it stands."""
        ...

    async def update_plan(
        self, plan_id: str, fields: JsonObject, *, base_version: int | None = None
    ) -> JsonObject:
        """Set a plan's name or description."""
        ...

    async def remove_plan(self, plan_id: str, *, base_version: int | None = None) -> JsonObject:
        """Remove a plan with its items."""
        ...

    async def export_plan(self, plan_id: str) -> JsonObject:
        """Return a plan as a YAML ``document``."""
        ...

    async def plan_items(
        self,
        plan_id: str,
        *,
        status: Sequence[str] = (),
        kind: Sequence[str] = (),
        assignee: str | None = None,
        parent: str | None = None,
        fields: Sequence[str] = (),
        limit: int = 100,
        cursor: str | None = None,
    ) -> JsonObject:
        """Return a page of items."""
        ...

    async def plan_item(self, plan_id: str, item: str) -> JsonObject:
        """Return one item by its id or its key."""
        ...

    async def plan_graph(self, plan_id: str) -> JsonObject:
        """Return a whole plan at once."""
        ...

    async def change_plan(self, plan_id: str, wanted: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Apply operations, or show what they would do.

        Raises:
            StalePlan: if the plan has another version by now.
            Conflict: if items would wait for each other in a circle.
        """
        ...

    async def plan_changes(self, plan_id: str, *, limit: int = 20, cursor: str | None = None) -> JsonObject:
        """Return a page of a plan's history, newest first."""
        ...

    async def undo_change(
        self, plan_id: str, change_id: str, wanted: JsonObject | None = None, *, dry_run: bool = False
    ) -> JsonObject:
        """Take a change set back, or show what that would do."""
        ...

    async def run_item(self, plan_id: str, item: str, wanted: JsonObject) -> JsonObject:
        """Start a run for an item."""
        ...


class PlanRequests:
    """The plans' part of `HttpClient`."""

    @abstractmethod
    async def json(self, method: str, path: str, **options: Any) -> JsonObject:
        """Send a request and return the answer, or raise the error it tells of."""

    @abstractmethod
    async def text(self, method: str, path: str, **options: Any) -> str:
        """Send a request and return the answer's text, or raise the error it tells of."""

    async def create_plan(self, wanted: JsonObject) -> JsonObject:
        """Make a plan."""
        return await self.json("POST", "/plans", json=wanted)

    async def plans(
        self, *, project: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> JsonObject:
        """Return a page of plans."""
        return await self.json("GET", "/plans", params=_given(project=project, limit=limit, cursor=cursor))

    async def plan(self, plan_id: str) -> JsonObject:
        """Return one plan."""
        return await self.json("GET", _plan(plan_id))

    async def update_plan(
        self, plan_id: str, fields: JsonObject, *, base_version: int | None = None
    ) -> JsonObject:
        """Set a plan's name or description."""
        return await self.json("PATCH", _plan(plan_id), json=fields, headers=_if_match(base_version))

    async def remove_plan(self, plan_id: str, *, base_version: int | None = None) -> JsonObject:
        """Remove a plan."""
        return await self.json("DELETE", _plan(plan_id), headers=_if_match(base_version))

    async def export_plan(self, plan_id: str) -> JsonObject:
        """Return a plan as a YAML document."""
        return {"plan": plan_id, "document": await self.text("GET", f"{_plan(plan_id)}/export")}

    async def plan_items(
        self,
        plan_id: str,
        *,
        status: Sequence[str] = (),
        kind: Sequence[str] = (),
        assignee: str | None = None,
        parent: str | None = None,
        fields: Sequence[str] = (),
        limit: int = 100,
        cursor: str | None = None,
    ) -> JsonObject:
        """Return a page of items."""
        query = _given(
            status=list(status),
            kind=list(kind),
            assignee=assignee,
            parent=parent,
            fields=",".join(fields) if fields else None,
            limit=limit,
            cursor=cursor,
        )
        return await self.json("GET", f"{_plan(plan_id)}/items", params=query)

    async def plan_item(self, plan_id: str, item: str) -> JsonObject:
        """Return one item."""
        return await self.json("GET", f"{_plan(plan_id)}/items/{quote(item, safe='')}")

    async def plan_graph(self, plan_id: str) -> JsonObject:
        """Return a whole plan at once."""
        return await self.json("GET", f"{_plan(plan_id)}/graph")

    async def change_plan(self, plan_id: str, wanted: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Apply operations, or show what they would do."""
        query = {"dry_run": "true" if dry_run else "false"}
        return await self.json("POST", f"{_plan(plan_id)}/changes", json=wanted, params=query)

    async def plan_changes(self, plan_id: str, *, limit: int = 20, cursor: str | None = None) -> JsonObject:
        """Return a page of a plan's history."""
        return await self.json("GET", f"{_plan(plan_id)}/changes", params=_given(limit=limit, cursor=cursor))

    async def undo_change(
        self, plan_id: str, change_id: str, wanted: JsonObject | None = None, *, dry_run: bool = False
    ) -> JsonObject:
        """Take a change set back, or show what that would do."""
        path = f"{_plan(plan_id)}/changes/{quote(change_id, safe='')}/undo"
        query = {"dry_run": "true" if dry_run else "false"}
        return await self.json("POST", path, json=wanted or {}, params=query)

    async def run_item(self, plan_id: str, item: str, wanted: JsonObject) -> JsonObject:
        """Start a run for an item."""
        return await self.json("POST", f"{_plan(plan_id)}/items/{quote(item, safe='')}/run", json=wanted)


def _plan(plan_id: str) -> str:
    return f"/plans/{quote(plan_id, safe='')}"


def _given(**query: Any) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def _if_match(version: int | None) -> dict[str, str]:
    return {"If-Match": f'"{version}"'} if version is not None else {}

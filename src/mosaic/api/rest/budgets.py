"""Budgets: set, list, show, remove; leases that a crash left behind."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from mosaic.api.access import App, Caller
from mosaic.api.conditions import versions_of
from mosaic.api.door_schemas import (
    BudgetDocument,
    BudgetPage,
    LeasePage,
    Reconcile,
    Reconciled,
    Removed,
    Scope,
    SetBudget,
)
from mosaic.api.listing import Cursor, WholeLimit, paged
from mosaic.api.routing import Route
from mosaic.api.schemas import Id, IfMatch
from mosaic.core.values import JsonObject
from mosaic.core.versions import version_of

__all__ = ["router"]

router = APIRouter(route_class=Route, tags=["budgets"])
_SHOWN: dict[int | str, dict[str, Any]] = {200: {"model": BudgetDocument}}


@router.put("/budgets", summary="Set a budget", response_model=None, responses=_SHOWN)
async def put(
    body: SetBudget, response: Response, app: App, ctx: Caller, if_match: IfMatch = None
) -> JsonObject:
    """Set the budget of a scope, subject and period; what is spent of it stays spent.

    412 when the ETag in If-Match is not that of the budget there is.
    """
    wanted = body.model_dump(mode="json", exclude_none=True)
    shown = await app.door_operations.set_budget(ctx, wanted, only=versions_of(if_match))
    response.headers["ETag"] = _tag(shown)
    return shown


@router.get("/budgets", summary="List budgets", response_model=None, responses={200: {"model": BudgetPage}})
async def listed(
    app: App,
    ctx: Caller,
    scope: Scope | None = None,
    subject: Annotated[str | None, Query(max_length=500)] = None,
    sort: Literal["created_at", "-created_at", "-spent_usd", "left_usd"] = "created_at",
    limit: WholeLimit = 1_000,
    cursor: Cursor = None,
) -> JsonObject:
    """Return a page of budgets with what is spent and leased of them in their present periods."""
    shown = await app.door_operations.budgets(ctx, scope=scope, subject=subject)
    return paged(shown, sort, limit=limit, cursor=cursor)


@router.get("/budgets/{budget_id}", summary="Show a budget", response_model=None, responses=_SHOWN)
async def show(budget_id: Id, response: Response, app: App, ctx: Caller) -> JsonObject:
    """Return one budget."""
    shown = await app.door_operations.budget(ctx, budget_id)
    response.headers["ETag"] = _tag(shown)
    return shown


@router.delete(
    "/budgets/{budget_id}",
    summary="Remove a budget",
    response_model=None,
    responses={200: {"model": Removed}},
)
async def remove(budget_id: Id, app: App, ctx: Caller, if_match: IfMatch = None) -> JsonObject:
    """Remove a budget and its counters; the ledger keeps what was spent."""
    return await app.door_operations.remove_budget(ctx, budget_id, only=versions_of(if_match))


@router.get(
    "/budget-leases",
    summary="List leases of processes that are gone",
    response_model=None,
    responses={200: {"model": LeasePage}},
)
async def lost(app: App, ctx: Caller, limit: WholeLimit = 1_000, cursor: Cursor = None) -> JsonObject:
    """Return what processes that are gone had leased; it counts as spent until it is reconciled."""
    shown = await app.door_operations.lost_leases(ctx)
    return paged(shown, "budget", limit=limit, cursor=cursor, identity=("period", "holder"))


@router.post(
    "/budget-leases/reconcile",
    summary="End leases of processes that are gone",
    response_model=None,
    responses={200: {"model": Reconciled}},
)
async def reconcile(body: Reconcile, app: App, ctx: Caller) -> JsonObject:
    """Count them as spent for good, or give them back."""
    return await app.door_operations.reconcile_budgets(ctx, as_spent=body.as_spent)


def _tag(shown: JsonObject) -> str:
    """Return the tag of what was set; what is spent changes by itself."""
    return f'"{version_of([shown["limit_usd"], shown["limit_tokens"], shown["alert_at"]])}"'

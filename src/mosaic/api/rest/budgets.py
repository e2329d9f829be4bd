"""Budgets: set, list, show, remove; leases that a crash left behind."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from mosaic.api.access import App, Caller
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
from mosaic.api.schemas import Id
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(tags=["budgets"])
_SHOWN: dict[int | str, dict[str, Any]] = {200: {"model": BudgetDocument}}


@router.put("/budgets", summary="Set a budget", response_model=None, responses=_SHOWN)
async def put(body: SetBudget, app: App, ctx: Caller) -> JsonObject:
    """Set the budget of a scope, subject and period; what is spent of it stays spent."""
    return await app.door_operations.set_budget(ctx, body.model_dump(mode="json", exclude_none=True))


@router.get("/budgets", summary="List budgets", response_model=None, responses={200: {"model": BudgetPage}})
async def listed(
    app: App,
    ctx: Caller,
    scope: Scope | None = None,
    subject: Annotated[str | None, Query(max_length=500)] = None,
) -> JsonObject:
    """Return budgets with what is spent and leased of them in their present periods."""
    return await app.door_operations.budgets(ctx, scope=scope, subject=subject)


@router.get("/budgets/{budget_id}", summary="Show a budget", response_model=None, responses=_SHOWN)
async def show(budget_id: Id, app: App, ctx: Caller) -> JsonObject:
    """Return one budget."""
    return await app.door_operations.budget(ctx, budget_id)


@router.delete(
    "/budgets/{budget_id}",
    summary="Remove a budget",
    response_model=None,
    responses={200: {"model": Removed}},
)
async def remove(budget_id: Id, app: App, ctx: Caller) -> JsonObject:
    """Remove a budget and its counters; the ledger keeps what was spent."""
    return await app.door_operations.remove_budget(ctx, budget_id)


@router.get(
    "/budget-leases",
    summary="List leases of processes that are gone",
    response_model=None,
    responses={200: {"model": LeasePage}},
)
async def lost(app: App, ctx: Caller) -> JsonObject:
    """Return what processes that are gone had leased; it counts as spent until it is reconciled."""
    return await app.door_operations.lost_leases(ctx)


@router.post(
    "/budget-leases/reconcile",
    summary="End leases of processes that are gone",
    response_model=None,
    responses={200: {"model": Reconciled}},
)
async def reconcile(body: Reconcile, app: App, ctx: Caller) -> JsonObject:
    """Count them as spent for good, or give them back."""
    return await app.door_operations.reconcile_budgets(ctx, as_spent=body.as_spent)

"""Usage and cost: reports, forecast, bill, savings, prices."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response

from mosaic.api.access import App, Caller
from mosaic.api.conditions import versions_of
from mosaic.api.door_schemas import (
    BillPage,
    ForecastDocument,
    PriceDocument,
    PricePage,
    Removed,
    SavingsDocument,
    SavingsFigures,
    SetPrice,
    UsagePage,
)
from mosaic.api.listing import Cursor, WholeLimit, paged, paged_in_place
from mosaic.api.routing import Route
from mosaic.api.schemas import IfMatch, Moment
from mosaic.core.errors import InvalidInput, NotFound
from mosaic.core.values import JsonObject
from mosaic.core.versions import version_of

__all__ = ["router"]

router = APIRouter(route_class=Route, prefix="/cost", tags=["cost"])
Where = Annotated[
    list[str], Query(max_length=20, description="dimension=value, such as project=web; several must all fit")
]
When = Annotated[Moment | None, Query(description="a time with its zone")]
_Model = Annotated[str, Path(min_length=1, max_length=300)]
_PRICE: dict[int | str, dict[str, Any]] = {200: {"model": PriceDocument}}
_REMOVED: dict[int | str, dict[str, Any]] = {200: {"model": Removed}}


@router.get(
    "/usage", summary="Show usage and cost", response_model=None, responses={200: {"model": UsagePage}}
)
async def usage(
    app: App,
    ctx: Caller,
    by: Annotated[list[str], Query(max_length=5, description="dimensions to tell apart")] = [],  # noqa: B006  # FastAPI copies it
    where: Where = [],  # noqa: B006
    since: When = None,
    until: When = None,
    limit: WholeLimit = 1_000,
    cursor: Cursor = None,
) -> JsonObject:
    """Return usage by dimensions: project, agent, model, provider, key, route, operation, source, run, day."""
    shown = await app.door_operations.usage(
        ctx, by=by, since=_text(since), until=_text(until), where=_filters(where)
    )
    return paged_in_place(
        shown, lambda row: json.dumps([row.get(name) for name in by]), limit=limit, cursor=cursor
    )


@router.get(
    "/forecast", summary="Forecast cost", response_model=None, responses={200: {"model": ForecastDocument}}
)
async def forecast(
    app: App,
    ctx: Caller,
    period: Literal["day", "month"] = "month",
    where: Where = [],  # noqa: B006
) -> JsonObject:
    """Return what the present day or month will have cost at its end."""
    return await app.door_operations.cost_forecast(ctx, period=period, where=_filters(where))


@router.get("/bill", summary="Export the ledger", response_model=None, responses={200: {"model": BillPage}})
async def bill(
    app: App,
    ctx: Caller,
    style: Literal["csv", "jsonl"] = "jsonl",
    where: Where = [],  # noqa: B006
    since: When = None,
    until: When = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> JsonObject:
    """Return rows of the ledger as CSV or JSON lines in `text`; `next_cursor` continues them."""
    return await app.door_operations.bill(
        ctx,
        style=style,
        since=_text(since),
        until=_text(until),
        where=_filters(where),
        cursor=cursor,
        limit=limit,
    )


@router.post(
    "/savings",
    summary="Show what could be saved",
    response_model=None,
    responses={200: {"model": SavingsDocument}},
)
async def savings(body: SavingsFigures, app: App, ctx: Caller) -> JsonObject:
    """Return monthly savings by category: on calls of models, and on what the figures say."""
    return await app.door_operations.savings(ctx, figures=body.model_dump(exclude_none=True))


@router.get("/prices", summary="Show prices", response_model=None, responses={200: {"model": PricePage}})
async def prices(
    app: App,
    ctx: Caller,
    model: Annotated[list[str], Query(max_length=100, description="provider:model")] = [],  # noqa: B006
    limit: WholeLimit = 1_000,
    cursor: Cursor = None,
) -> JsonObject:
    """Return a page of the tenant's own prices, and what models cost it with source and date."""
    shown = await app.door_operations.prices(ctx, models=model)
    return paged(shown, "model", limit=limit, cursor=cursor, identity=())


@router.put("/prices", summary="Set an own price", response_model=None, responses=_PRICE)
async def set_price(
    body: SetPrice, response: Response, app: App, ctx: Caller, if_match: IfMatch = None
) -> JsonObject:
    """Set the tenant's own price of a model, or of all that fit a pattern.

    412 when the ETag in If-Match is not that of the price there is.
    """
    wanted = body.model_dump(mode="json", exclude_none=True)
    shown = await app.door_operations.set_price(ctx, wanted, only=versions_of(if_match))
    response.headers["ETag"] = f'"{version_of(shown)}"'
    return shown


@router.get("/prices/{model:path}", summary="Show an own price", response_model=None, responses=_PRICE)
async def price(model: _Model, response: Response, app: App, ctx: Caller) -> JsonObject:
    """Return the tenant's own price of exactly this model or pattern."""
    for shown in (await app.door_operations.prices(ctx))["items"]:
        if shown["model"] == model:
            response.headers["ETag"] = f'"{version_of(shown)}"'
            return dict(shown)
    raise NotFound(f"There is no own price of {model!r}.", hint="GET /api/v1/cost/prices lists them.")


@router.delete("/prices/{model:path}", summary="Remove an own price", response_model=None, responses=_REMOVED)
async def remove_price(model: _Model, app: App, ctx: Caller, if_match: IfMatch = None) -> JsonObject:
    """Remove the tenant's own price."""
    return await app.door_operations.remove_price(ctx, model, only=versions_of(if_match))


def _filters(where: list[str]) -> dict[str, str]:
    found = {}
    for text in where:
        name, equals, value = text.partition("=")
        if not equals or name in found:
            raise InvalidInput(f"{text!r} is no filter.", hint="Write dimension=value, each dimension once.")
        found[name] = value
    return found


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None

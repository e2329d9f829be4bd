"""A tenant's own prices: set, shown, removed; each with where it stands and since when."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, NotFound, Problem
from mosaic.core.values import JsonObject
from mosaic.core.versions import require_version, version_of
from mosaic.cost.models import cost_revision, price_override
from mosaic.cost.price_book import PriceBook
from mosaic.cost.schemas import TokenPrice
from mosaic.cost.token_cost import Rates, TokenCost
from mosaic.cost.watch import Watch
from mosaic.events import Bus, Journal, NewEvent
from mosaic.storage import Database, Transaction

__all__ = ["OwnPrice", "OwnPrices"]

_NAME = "prices"
_TOPIC = "prices.changed"
_LONGEST = 300
_HIGHEST_USD = 1_000_000.0


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """A price that a tenant has agreed on.

    Attributes:
        pattern: ``provider:model``, with ``*`` and ``?`` as wildcards.
        source: where it stands, such as a contract.
    """

    pattern: str
    price: TokenPrice
    source: str
    valid_from: datetime

    @property
    def version(self) -> str:
        """What was set."""
        return version_of(self.to_json())

    def to_json(self) -> JsonObject:
        """Return the price as a JSON object."""
        return {
            "model": self.pattern,
            **Rates.of(self.price).to_json(),
            "source": self.source,
            "as_of": self.valid_from.isoformat().replace("+00:00", "Z"),
        }


class OwnPrices:
    """The prices that tenants have set, and the price book kept up to date with them."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        bus: Bus,
        book: PriceBook,
        *,
        clock: Clock = now,
        refresh_s: float = 2.0,
    ) -> None:
        self._database = database
        self._journal = journal
        self._bus = bus
        self._book = book
        self._clock = clock
        self._revision = -1
        self._upsert: Any = sqlite.insert if database.dialect == "sqlite" else postgresql.insert
        self._watch = Watch(bus, self.refresh, topics=(_TOPIC,), every_s=refresh_s, name="prices")

    async def start(self) -> None:
        """Read the prices and follow their changes until `close`."""
        await self.refresh()
        self._watch.start()

    async def close(self) -> None:
        """Stop following changes."""
        await self._watch.stop()

    async def set(
        self,
        ctx: Context,
        pattern: str,
        price: TokenPrice,
        *,
        source: str,
        valid_from: datetime | None = None,
        only: Collection[str] | None = None,
    ) -> OwnPrice:
        """Set the tenant's price of a model, or of all that fit a pattern.

        Raises:
            InvalidInput: naming each field that is wrong.
            Stale: if the price that is set now has a version that is not among `only`.
        """
        _check(pattern, price, source)
        moment = self._clock()
        own = OwnPrice(pattern, price, source, valid_from or moment)
        rates = Rates.of(price)
        values = {
            "input_nanos_per_mtok": rates.input, "output_nanos_per_mtok": rates.output,
            "cached_input_nanos_per_mtok": rates.cached_input, "cache_write_nanos_per_mtok": rates.cache_write,
            "source": source, "valid_from": own.valid_from, "set_at": moment, "set_by": str(ctx.actor),
        }  # fmt: skip
        new = self._upsert(price_override).values(tenant_id=ctx.tenant, pattern=pattern, **values)
        async with self._database.transaction() as tx:
            await self._require(tx, ctx, pattern, only)
            await tx.execute(
                new.on_conflict_do_update(index_elements=list(price_override.primary_key), set_=values)
            )
            await self._note(tx, ctx, "price.set", own.to_json())
        await self.refresh()
        return own

    async def remove(self, ctx: Context, pattern: str, *, only: Collection[str] | None = None) -> None:
        """Remove a tenant's own price.

        Raises:
            NotFound: if it has none with that pattern.
            Stale: if it has a version that is not among `only`.
        """
        async with self._database.transaction() as tx:
            await self._require(tx, ctx, pattern, only)
            gone = await tx.execute(
                delete(price_override).where(
                    price_override.c.pattern == pattern, price_override.c.tenant_id == ctx.tenant
                )
            )
            if gone.rowcount != 1:
                raise NotFound(
                    f"There is no own price of {pattern!r}.", hint="`mosaic cost prices` shows them."
                )
            await self._note(tx, ctx, "price.removed", {"model": pattern})
        await self.refresh()

    async def _require(
        self, tx: Transaction, ctx: Context, pattern: str, only: Collection[str] | None
    ) -> None:
        """Hold a price until the transaction ends, and check its version."""
        if only is None:
            return
        query = select(price_override).where(
            price_override.c.pattern == pattern, price_override.c.tenant_id == ctx.tenant
        )
        row = await tx.row(query.with_for_update())
        require_version(_own(row).version if row is not None else None, only, what="price")

    async def all(self, ctx: Context) -> list[OwnPrice]:
        """Return the tenant's own prices, by pattern."""
        query = select(price_override).where(price_override.c.tenant_id == ctx.tenant)
        async with self._database.transaction(read_only=True) as tx:
            rows = await tx.rows(query.order_by(price_override.c.pattern))
        return [_own(row) for row in rows]

    async def refresh(self) -> None:
        """Read the prices of all tenants again if anybody changed one."""
        async with self._database.transaction(read_only=True) as tx:
            found = await tx.scalar(select(cost_revision.c.revision).where(cost_revision.c.name == _NAME))
            revision = int(found or 0)
            if revision == self._revision:
                return
            rows = await tx.rows(select(price_override))
        own: dict[str, dict[str, TokenCost]] = {}
        for row in rows:
            cost = TokenCost(Rates.of(_price(row)), row["source"], row["valid_from"])
            own.setdefault(row["tenant_id"], {})[row["pattern"]] = cost
        self._book.set_own(own)
        self._revision = revision

    async def _note(self, tx: Transaction, ctx: Context, event: str, data: JsonObject) -> None:
        count_up = self._upsert(cost_revision).values(name=bindparam("n"), revision=1)
        await tx.execute(
            count_up.on_conflict_do_update(
                index_elements=[cost_revision.c.name], set_={"revision": cost_revision.c.revision + 1}
            ),
            {"n": _NAME},
        )
        self._bus.publish_in(tx, _TOPIC)
        await self._journal.append(tx, ctx, [NewEvent(event, data)])


def _own(row: RowMapping) -> OwnPrice:
    return OwnPrice(row["pattern"], _price(row), row["source"], row["valid_from"])


def _price(row: RowMapping) -> TokenPrice:
    def usd(name: str) -> float:
        return int(row[name]) / 1_000_000_000

    return TokenPrice(
        usd("input_nanos_per_mtok"), usd("output_nanos_per_mtok"), usd("cached_input_nanos_per_mtok"),
        usd("cache_write_nanos_per_mtok"),
    )  # fmt: skip


def _check(pattern: str, price: TokenPrice, source: str) -> None:
    problems = []
    if ":" not in pattern or not pattern.isprintable() or len(pattern) > _LONGEST:
        problems.append(Problem("must be provider:model, with * and ? as wildcards", path="model"))
    if not source.strip() or not source.isprintable() or len(source) > _LONGEST:
        problems.append(Problem("must say where the price stands", path="source"))
    for name in TokenPrice.__slots__:
        value = getattr(price, name)
        if value is not None and not 0 <= value <= _HIGHEST_USD:
            problems.append(Problem("must be dollars for a million tokens, from 0", path=name))
    if problems:
        raise InvalidInput("The price cannot be set.", problems=problems)

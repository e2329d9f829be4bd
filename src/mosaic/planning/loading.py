"""Plans read from their rows, with the plans that hang together with them by what waits for what."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mosaic.core.context import Context
from mosaic.core.ids import id_prefix
from mosaic.planning.draft import Draft
from mosaic.planning.picture import Picture
from mosaic.planning.repository import PlanRepository
from mosaic.planning.run_repository import ItemRunRepository
from mosaic.planning.schemas import ACTIVE_RUN, Item, LinkedRun, Plan
from mosaic.storage import Transaction

__all__ = ["LoadedPlan", "PlanLoader"]


@dataclass(frozen=True, slots=True)
class LoadedPlan:
    """What one transaction sees of a plan."""

    plan: Plan
    items: dict[str, Item]
    others: tuple[Item, ...]
    runs: tuple[LinkedRun, ...]

    def picture(self) -> Picture:
        """Return the plan as it stands."""
        return Picture(self.plan, self.items.values(), others=self.others, runs=self.runs)

    def draft(self) -> Draft:
        """Return the plan to be changed."""
        busy = (linked.item for linked in self.runs if linked.status in ACTIVE_RUN)
        return Draft(self.plan, self.items.values(), others=self.others, active=busy)


class PlanLoader:
    """Reads plans in the caller's transaction."""

    def __init__(self, rows: PlanRepository, runs: ItemRunRepository) -> None:
        self._rows = rows
        self._runs = runs

    async def load(
        self, tx: Transaction, ctx: Context, plan: Plan, *, named: Iterable[str] = ()
    ) -> LoadedPlan:
        """Read a plan and those that hang together with it, or would by the references in `named`."""
        references = set(named)
        plans = {plan.id, *(one.partition(":")[0] for one in references if ":" in one)}
        ids = [one for one in references if id_prefix(one) == "item"]
        plans |= await self._rows.plans_of(tx, ctx.tenant, ids)
        plans = await self._rows.connected(tx, ctx.tenant, plans)
        items = await self._rows.items(tx, ctx.tenant, plans)
        return LoadedPlan(
            plan,
            {item.id: item for item in items if item.plan == plan.id},
            tuple(item for item in items if item.plan != plan.id),
            tuple(await self._runs.of_plans(tx, ctx.tenant, plans)),
        )

    async def load_all(self, tx: Transaction, ctx: Context, plans: Sequence[Plan]) -> list[LoadedPlan]:
        """Read many plans with those that hang together with each: a few queries, however many there are."""
        together = await self._rows.groups(tx, ctx.tenant, [plan.id for plan in plans])
        every = set().union(*together.values())
        items: dict[str, list[Item]] = {}
        for item in await self._rows.items(tx, ctx.tenant, every):
            items.setdefault(item.plan, []).append(item)
        runs: dict[str, list[LinkedRun]] = {}
        for linked in await self._runs.of_plans(tx, ctx.tenant, every):
            runs.setdefault(linked.plan, []).append(linked)
        return [
            LoadedPlan(
                plan,
                {item.id: item for item in items.get(plan.id, ())},
                tuple(item for other in together[plan.id] - {plan.id} for item in items.get(other, ())),
                tuple(linked for other in together[plan.id] for linked in runs.get(other, ())),
            )
            for plan in plans
        ]

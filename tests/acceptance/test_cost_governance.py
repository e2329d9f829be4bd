"""Cost governed from the outside: keys, budgets, alerts, usage, forecasts, bills and savings of one installation."""

import asyncio
import csv
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.context import Actor, Context
from mosaic.core.errors import LimitExceeded, NotFound, TenantViolation, Unauthenticated
from mosaic.cost import Payer
from tests.acceptance.installation import BOUND_S, Desk, Installation, of, on_sqlite
from tests.agents.script import ScriptedModel, says
from tests.plugins.vendors import KEY

pytestmark = pytest.mark.anyio

STRANGER = Context("elsewhere", "default", Actor("user", "stranger"))
WORK = """
agents: {coder: {model: "openai:test-model", instructions: You are a coder.}}
do: [{one: {agent: coder, with: go}}]
"""
PRICED = {"cost": {"prices": {"openai:*": {"input_usd_per_mtok": 1000, "output_usd_per_mtok": 1000}}}}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment, where it belongs."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


async def command(installation: Installation, *arguments: str) -> str:
    """Run `mosaic` as a user does, and return what it says on stdout."""
    environment = {**os.environ, "MOSAIC_DATABASE_URL": installation.database_url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mosaic.cli", "--home", str(installation.home), *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment,
    )  # fmt: skip
    out, errors = await asyncio.wait_for(process.communicate(), BOUND_S)
    assert process.returncode == 0, errors.decode()
    return out.decode()


@on_sqlite
@pytest.mark.requirement("ENT-60")
async def test_keys_are_made_scoped_expiring_and_revoked_on_the_command_line(
    installation: Installation,
) -> None:
    made = json.loads(
        await command(
            installation, "keys", "create", "editor", "--models", "fast,smart-*", "--expires", "30d", "--scopes",
            "chat", "--rpm", "60", "--usd", "5", "--period", "month", "--json",
        )
    )  # fmt: skip
    assert made["secret"].startswith("mk-")
    async with installation.open() as desk:
        key = desk.application.model.keys.lookup(made["secret"])
        assert (key.id, key.admits_model("smart-2"), key.admits_model("slow")) == (made["id"], True, False)
    assert "active" in await command(installation, "keys", "list")
    assert "5.00" in await command(installation, "budgets", "list", "--scope", "key")
    await command(installation, "keys", "revoke", made["id"])
    assert "revoked" in await command(installation, "keys", "list")
    async with installation.open() as desk:
        with pytest.raises(Unauthenticated):
            desk.application.model.keys.lookup(made["secret"])


@pytest.mark.requirement("ENT-66", "ORC-72", "ENT-53")
async def test_an_agents_budget_alerts_at_its_thresholds_and_then_refuses(
    installation: Installation, model: ScriptedModel
) -> None:
    """Each call costs at most what is set aside and its real price is taken; the one that would pass is refused."""
    model.will(says("done"))
    async with installation.open(**PRICED) as desk:
        folder = installation.workflow(WORK)
        await desk.application.door_operations.set_budget(
            desk.ctx, {"scope": "agent", "subject": "coder", "usd": 1.2, "alert_at": [5, 90]}
        )
        await desk.application.model.budgets.refresh()
        first = await desk.run(folder)
        assert first["status"] == "succeeded", first["error"]
        assert first["cost"]["usd"] == 0.11
        refused = await desk.run(folder)
        while refused["status"] == "succeeded":
            refused = await desk.run(folder)
        assert "budget_exceeded" in json.dumps(refused["error"])
        assert "agent coder" in json.dumps(refused["error"])
        (state,) = (await desk.application.door_operations.budgets(desk.ctx))["items"]
        assert 0 < state["spent_usd"] <= 1.2
        await desk.application.model.budgets.maintain()
        (alert,) = await desk.events(None, "budget.alerted")
        assert (alert["data"]["percent"], alert["data"]["subject"]) == (5, "coder")


@on_sqlite
async def test_a_tenants_own_price_counts_for_runs_too(
    installation: Installation, model: ScriptedModel
) -> None:
    model.will(says("done"))
    bounded = WORK.replace("coder.}}", "coder.}}\nlimits: {usd: 1}")
    async with installation.open() as desk:
        own = {
            "model": "openai:test-*",
            "input_usd_per_mtok": 0,
            "output_usd_per_mtok": 7,
            "source": "contract",
        }
        await desk.application.door_operations.set_price(desk.ctx, own)
        run = await desk.run(installation.workflow(bounded))
        assert run["status"] == "succeeded"
        (called,) = of(await desk.events(run["id"]), "model.called")
        assert called["usd"] == pytest.approx(called["output_tokens"] * 7 / 1_000_000)


@pytest.mark.requirement("ENT-65", "ENT-67", "ENT-47", "ORC-73", "ORC-74")
async def test_what_runs_cost_is_reported_by_project_agent_model_and_day_and_billed(
    installation: Installation, model: ScriptedModel
) -> None:
    model.will(says("done"))
    async with installation.open(**PRICED) as desk:
        run = await desk.run(installation.workflow(WORK))
        (called,) = of(await desk.events(run["id"]), "model.called")
        door = desk.application.door_operations
        shown = await door.usage(desk.ctx, by=("project", "agent", "provider", "model", "source"))
        (row,) = shown["items"]
        assert (row["project"], row["agent"], row["provider"], row["source"]) == (
            "default",
            "coder",
            "openai",
            "run",
        )
        assert row["usd"] == called["usd"] == run["cost"]["usd"]
        assert (row["input_tokens"], row["output_tokens"]) == (
            called["input_tokens"],
            called["output_tokens"],
        )
        bill = await door.bill(desk.ctx, style="csv")
        (line,) = csv.DictReader(io.StringIO(bill["text"]))
        assert float(line["usd"]) == called["usd"]
        forecast = await door.cost_forecast(desk.ctx)
        assert forecast["expected_usd"] >= forecast["spent_usd"] == called["usd"]


async def test_no_verb_reaches_into_another_tenant(installation: Installation) -> None:
    async with installation.open() as desk:
        door, ctx = desk.application.door_operations, desk.ctx
        key = await door.create_key(ctx, {"name": "mine", "budget": {"usd": 1}})
        (budget,) = (await door.budgets(ctx))["items"]
        await door.set_price(
            ctx, {"model": "a:b", "input_usd_per_mtok": 1, "output_usd_per_mtok": 1, "source": "mine"}
        )
        for empty in (door.keys, door.budgets, door.lost_leases):
            assert (await empty(STRANGER))["items"] == []
        assert (await door.prices(STRANGER))["items"] == []
        assert (await door.usage(STRANGER))["total"]["calls"] == 0
        forbidden: list[Any] = [
            door.key(STRANGER, key["id"]), door.revoke_key(STRANGER, key["id"]), door.rotate_key(STRANGER, key["id"]),
            door.budget(STRANGER, budget["id"]), door.remove_budget(STRANGER, budget["id"]),
            door.remove_price(STRANGER, "a:b"),
        ]  # fmt: skip
        for call in forbidden:
            with pytest.raises(NotFound):
                await call
        with pytest.raises(TenantViolation):
            await door.usage(STRANGER, where={"tenant": ctx.tenant})
        assert (await door.budgets(ctx))["items"] == [budget]


@on_sqlite
@pytest.mark.requirement("ORC-09", "ORC-13")
async def test_savings_are_reported_by_category(installation: Installation, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    items = [("compute", 5_000), ("storage", 2_000), ("bandwidth", 3_000), ("api_calls", 1_500)]
    figures.write_text(
        json.dumps(
            {"items": [{"category": c, "advice": "as measured", "monthly_usd": usd} for c, usd in items]}
        )
    )
    said = json.loads(await command(installation, "cost", "savings", "--file", str(figures), "--json"))
    assert said["by_category"] == {category: float(usd) for category, usd in items}
    assert said["monthly_usd"] == 11_500.0
    builds = ("--ci-minutes", "10000", "--ci-large-builds", "50", "--ci-bandwidth-gb", "1000")
    assert "= $1170.00 a month" in await command(installation, "cost", "savings", *builds)


@on_sqlite
@pytest.mark.requirement("ORC-72")
async def test_what_is_held_for_calls_under_way_is_not_to_be_had_twice(desk: Desk) -> None:
    door, budgets = desk.application.door_operations, desk.application.model.budgets
    await door.set_budget(desk.ctx, {"scope": "tenant", "usd": 1})
    await budgets.refresh()
    payer = Payer(desk.ctx.tenant, desk.ctx.project)

    async def call() -> int:
        try:
            hold = budgets.try_hold(payer, 300_000_000, 1) or await budgets.hold(payer, 300_000_000, 1)
        except Exception as error:  # noqa: BLE001  # the refusal is what we count
            assert getattr(error, "http_status", None) == 402  # noqa: PT017
            return 0
        budgets.settle(hold, 300_000_000, 1)
        return 1

    assert sum(await asyncio.gather(*(call() for _ in range(50)))) == 3


@on_sqlite
@pytest.mark.requirement("ORC-72", "ORC-70", "ORC-71", "MAOS-08", "STK-24")
async def test_a_quota_of_the_settings_is_kept_and_named(installation: Installation) -> None:
    quotas = {"quotas": {"projects": {"local/default": {"concurrency": 1}}}}
    async with installation.open(cost=quotas) as desk:
        payer = Payer(desk.ctx.tenant, desk.ctx.project)
        entry = desk.application.model.quotas.enter(payer, 10)
        with pytest.raises(LimitExceeded) as caught:
            desk.application.model.quotas.enter(payer, 10)
        named = {
            name: caught.value.data[name] for name in ("tenant", "resource", "current", "requested", "limit")
        }
        assert named == {
            "tenant": "local",
            "resource": "concurrency",
            "current": 1,
            "requested": 1,
            "limit": 1,
        }
        entry.leave(10)
        desk.application.model.quotas.enter(payer, 10)

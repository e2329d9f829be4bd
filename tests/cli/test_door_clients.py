"""Both clients, one suite: keys, budgets and cost are answered alike in this process and over HTTP, as the contract says."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from mosaic.api import door_schemas as documents
from mosaic.core.errors import Conflict, InvalidInput, NotFound, TenantViolation, Unauthenticated
from mosaic.cost import LedgerEntry, Payer
from mosaic.providers import Usage
from tests.app.site import Site, database, open_site, settings_of

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=["local-sqlite", "http-sqlite"])
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """One installation for all tests here."""
    door, kind = request.param.split("-")
    folder = tmp_path_factory.mktemp(request.param)
    with database(request, kind, folder) as url:
        async with open_site(settings_of(folder / "home", url), folder, http=door == "http") as site:
            yield site


def record(site: Site, number: int, nanos: int, **payer: str) -> None:
    settings = site.application.settings
    site.application.model.ledger.record(
        LedgerEntry(
            Payer(settings.tenant, payer.pop("project", settings.project), **payer), f"req_{number}", "openai.chat",
            "fast", "openai", "gpt-4o", Usage(1_000_000, 1_000), nanos,
        )
    )  # fmt: skip


async def test_a_key_lives_and_dies(site: Site) -> None:
    soon = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    made = await site.client.create_key(
        {
            "name": "editor", "models": ["fast", "s*"], "scopes": ["chat"], "expires_at": soon,
            "limits": {"requests_per_minute": 10}, "budget": {"usd": 20, "period": "month"},
        }
    )  # fmt: skip
    documents.NewKeyDocument.model_validate(made)
    assert site.application.model.keys.lookup(made["secret"]).id == made["id"]
    shown = await site.client.key(made["id"])
    documents.KeyWithBudgets.model_validate(shown)
    assert "secret" not in shown
    assert (shown["status"], shown["limits"]["requests_per_minute"]) == ("active", 10)
    assert [(budget["scope"], budget["limit_usd"]) for budget in shown["budgets"]] == [("key", 20.0)]
    rotated = await site.client.rotate_key(made["id"], grace_s=0)
    assert rotated["secret"] != made["secret"]
    page = await site.client.keys(project=None)
    documents.KeyPage.model_validate(page)
    assert [key["id"] for key in page["items"]] == [made["id"]]
    assert (await site.client.keys(project="nothing"))["items"] == []
    assert (await site.client.revoke_key(made["id"]))["status"] == "revoked"
    with pytest.raises(Unauthenticated):
        site.application.model.keys.lookup(rotated["secret"])
    with pytest.raises(Conflict):
        await site.client.rotate_key(made["id"])
    with pytest.raises(NotFound):
        await site.client.key("key_nobody")
    with pytest.raises(InvalidInput):
        await site.client.create_key({"name": "x", "expires_at": "2020-01-01T00:00:00Z"})
    with pytest.raises(InvalidInput):
        await site.client.create_key({"name": "x", "budget": {"period": "day"}})
    assert len((await site.client.keys())["items"]) == 1, "a key whose budget is wrong is not made"


async def test_a_budget_is_set_shown_and_removed(site: Site) -> None:
    budget = await site.client.set_budget({"scope": "project", "subject": "web", "usd": 5.5, "period": "day"})
    documents.BudgetDocument.model_validate(budget)
    assert (budget["limit_usd"], budget["left_usd"], budget["alert_at"]) == (5.5, 5.5, [50, 80, 100])
    again = await site.client.set_budget(
        {"scope": "project", "subject": "web", "tokens": 7, "period": "day", "alert_at": [90]}
    )
    assert (again["id"], again["limit_usd"], again["limit_tokens"]) == (budget["id"], None, 7)
    page = await site.client.budgets(scope="project", subject="web")
    documents.BudgetPage.model_validate(page)
    assert page["items"] == [again] == [await site.client.budget(budget["id"])]
    assert (await site.client.budgets(scope="agent"))["items"] == []
    assert await site.client.remove_budget(budget["id"]) == {"id": budget["id"], "removed": True}
    with pytest.raises(NotFound):
        await site.client.remove_budget(budget["id"])
    with pytest.raises(InvalidInput):
        await site.client.set_budget({"scope": "project", "usd": 1})
    leases = await site.client.lost_leases()
    assert leases["items"] == []
    assert await site.client.reconcile_budgets(as_spent=True) == {"items": [], "as_spent": True}


async def test_usage_forecast_bill_and_savings(site: Site) -> None:
    record(site, 1, 2_500_000_000, project="web", agent="coder")
    record(site, 2, 1_000_000_000, project="app")
    await site.application.model.ledger.flush()
    usage = await site.client.usage(by=("project", "model"), where={"provider": "openai"})
    documents.UsagePage.model_validate(usage)
    assert [(row["project"], row["usd"]) for row in usage["items"]] == [("web", 2.5), ("app", 1.0)]
    assert usage["total"]["usd"] == 3.5
    assert (await site.client.usage(where={"agent": "coder"}))["total"]["calls"] == 1
    with pytest.raises(TenantViolation):
        await site.client.usage(where={"tenant": "somebody"})
    with pytest.raises(InvalidInput):
        await site.client.usage(by=("colour",))
    forecast = await site.client.cost_forecast(period="month")
    documents.ForecastDocument.model_validate(forecast)
    assert forecast["spent_usd"] == 3.5 <= forecast["expected_usd"]
    page = await site.client.bill(style="jsonl", limit=1)
    documents.BillPage.model_validate(page)
    rest = await site.client.bill(style="jsonl", cursor=page["next_cursor"], limit=10)
    assert [text.count("\n") for text in (page["text"], rest["text"])] == [1, 1]
    savings = await site.client.savings(
        figures={
            "ci": {"minutes": 10_000},
            "items": [{"category": "storage", "advice": "x", "monthly_usd": 2}],
        }
    )
    documents.SavingsDocument.model_validate(savings)
    assert savings["by_category"]["compute"] == 80.0
    assert savings["by_category"]["storage"] == 2.0
    assert any("cache prompts" in one["advice"] for one in savings["savings"])
    with pytest.raises(InvalidInput):
        await site.client.savings(figures={"items": [{"category": "luck"}]})


async def test_prices_show_their_source_and_date(site: Site) -> None:
    own = await site.client.set_price(
        {
            "model": "openai:gpt-4o",
            "input_usd_per_mtok": 1.5,
            "output_usd_per_mtok": 2,
            "source": "contract 7",
        }
    )
    documents.PriceDocument.model_validate(own)
    shown = await site.client.prices(models=("openai:gpt-4o", "openai:gpt-4o-mini", "nobody:knows"))
    documents.PricePage.model_validate(shown)
    assert shown["items"] == [own]
    mine, public, unknown = (one["price"] for one in shown["models"])
    assert (mine["input_usd_per_mtok"], mine["source"]) == (1.5, "contract 7")
    assert "genai-prices" in public["source"]
    assert unknown is None
    await site.client.remove_price("openai:gpt-4o")
    with pytest.raises(NotFound):
        await site.client.remove_price("openai:gpt-4o")

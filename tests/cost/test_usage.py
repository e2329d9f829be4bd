"""Usage told apart, looked forward to, billed, and what could be saved."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.event import listen, remove

from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, TenantViolation
from mosaic.core.money import Money
from mosaic.cost import CiUsage, LedgerEntry, Payer, SavingsReport, UsageReports, of_model_calls
from mosaic.cost.savings import Saving
from mosaic.cost.token_cost import Rates, TokenCost
from mosaic.providers import Usage
from mosaic.storage import Database
from tests.cost.conftest import Node

pytestmark = pytest.mark.anyio

MOMENT = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def reports(database: Database) -> UsageReports:
    return UsageReports(database, clock=lambda: MOMENT)


def call(number: int, at: datetime, nanos: int | None = 100, **fields: object) -> LedgerEntry:
    given: dict[str, object] = {
        "payer": Payer("t1", "web", key_id="key_1"), "call_key": f"req_{number}", "operation": "openai.chat",
        "route": "fast", "provider": "openai", "model": "gpt-4o", "usage": Usage(60, 40), "nanos": nanos,
        "at": at.timestamp(),
    }  # fmt: skip
    return LedgerEntry(**{**given, **fields})  # type: ignore[arg-type]  # a test's own


@pytest.fixture
async def calls(node: Node) -> Node:
    """Calls of two tenants, three projects, two agents, keys and models, over three days."""
    ledger = node.ledger
    ledger.record(call(1, MOMENT - 2 * DAY))
    ledger.record(call(2, MOMENT - DAY, 300, payer=Payer("t1", "app", agent="coder", key_id="key_2")))
    ledger.record(call(3, MOMENT - DAY, 50, model="mini", payer=Payer("t1", "web", agent="tester")))
    ledger.record(call(4, MOMENT, None, provider="ollama", model="llama"))
    ledger.record(call(5, MOMENT, 0, outcome="unavailable", usage=Usage()))
    ledger.record(call(6, MOMENT, 0, cached=True))
    ledger.record(call(7, MOMENT, 9_999, payer=Payer("t2", "web", key_id="key_1")))
    ledger.record(call(8, MOMENT - 60 * DAY, 7_777))
    await ledger.flush()
    return node


@pytest.mark.requirement("ENT-65", "ENT-67", "ENT-47", "ORC-73")
@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("project", {"app": 300, "web": 150}),
        ("agent", {"coder": 300, "tester": 50, None: 100}),
        ("provider", {"openai": 450, "ollama": 0}),
        ("model", {"gpt-4o": 400, "mini": 50, "llama": 0}),
        ("key", {"key_2": 300, "key_1": 100, None: 50}),
        ("day", {"2026-11-18": 100, "2026-11-19": 350, "2026-11-20": 0}),
    ],
)
@pytest.mark.usefixtures("calls")
async def test_usage_is_told_apart(
    reports: UsageReports, ctx: Context, by: str, expected: dict[str | None, int]
) -> None:
    rows = await reports.usage(ctx, by=(by,))
    assert {row.of[by]: row.nanos for row in rows} == expected
    assert [row.nanos for row in rows] == sorted(expected.values(), reverse=True)
    (total,) = await reports.usage(ctx)
    assert (total.nanos, total.calls, total.failed, total.from_cache, total.unpriced) == (450, 6, 1, 1, 1)


@pytest.mark.usefixtures("calls")
async def test_usage_is_filtered_and_bounded_in_time(reports: UsageReports, ctx: Context) -> None:
    rows = await reports.usage(ctx, by=("project", "model"), where={"project": "web", "provider": "openai"})
    assert [(row.of["model"], row.nanos) for row in rows] == [("gpt-4o", 100), ("mini", 50)]
    (old,) = await reports.usage(ctx, since=MOMENT - 90 * DAY, until=MOMENT - 30 * DAY)
    assert old.nanos == 7_777


@pytest.mark.usefixtures("calls")
async def test_no_filter_reaches_into_another_tenant(
    reports: UsageReports, ctx: Context, other: Context
) -> None:
    for name in ("tenant", "tenant_id"):
        with pytest.raises(TenantViolation):
            await reports.usage(ctx, where={name: "t2"})
        with pytest.raises(TenantViolation):
            await reports.bill(ctx, style="csv", where={name: "t2"})
    assert (await reports.usage(ctx, where={"tenant": "t1"}))[0].nanos == 450
    (theirs,) = await reports.usage(other)
    assert (theirs.nanos, theirs.calls) == (9_999, 1)
    assert "req_7" not in (await reports.bill(ctx, style="jsonl")).text
    assert (await reports.forecast(other)).spent_nanos == 9_999
    # A cursor made from another tenant's place leads only through one's own rows.
    page = await reports.bill(other, style="jsonl", since=MOMENT - 90 * DAY, limit=1)
    stolen = await reports.bill(
        ctx, style="jsonl", since=MOMENT - 90 * DAY, cursor=page.next_cursor, limit=100
    )
    assert "req_7" not in stolen.text


@pytest.mark.usefixtures("calls")
async def test_past_days_are_kept_and_what_comes_since_is_counted(
    node: Node, database: Database, ctx: Context
) -> None:
    moment = MOMENT
    reports = UsageReports(database, clock=lambda: moment)
    rows, total = await reports.usage_and_total(ctx, by=("model",))
    assert (total.nanos, total.calls) == (450, 6)
    node.ledger.record(call(9, MOMENT, 11))
    await node.ledger.flush()
    asked = len(await statements(database, reports, ctx))
    rows, total = await reports.usage_and_total(ctx, by=("model",))
    assert {row.of["model"]: row.nanos for row in rows} == {"gpt-4o": 411, "mini": 50, "llama": 0}
    assert (total.nanos, total.calls, total.failed) == (461, 7, 1)
    # Other questions have sums of their own, and bounds that are no whole days count to the moment.
    (half,) = await reports.usage(ctx, since=MOMENT - DAY - timedelta(hours=1), where={"provider": "openai"})
    assert (half.nanos, half.calls) == (361, 5)
    # A day counts as past once its last calls are written, and is looked at again after a while.
    moment = MOMENT + timedelta(minutes=11)
    node.ledger.record(call(10, MOMENT - 2 * DAY, 5))
    await node.ledger.flush()
    rows, total = await reports.usage_and_total(ctx, by=("model",))
    assert total.nanos == 466
    assert asked == 1  # of the present day


async def statements(database: Database, reports: UsageReports, ctx: Context) -> list[str]:
    """What is asked of the ledger for a report."""
    asked: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "FROM model_call" in statement:
            asked.append(statement)

    listen(database.read_engine, "before_cursor_execute", note)
    await reports.usage(ctx, by=("model",))
    remove(database.read_engine, "before_cursor_execute", note)
    return asked


async def test_what_cannot_be_told_apart_is_refused(reports: UsageReports, ctx: Context) -> None:
    for wrong in ({"by": ("colour",)}, {"where": {"1=1; --": "x"}}, {"by": ("day", "day")}):
        with pytest.raises(InvalidInput):
            await reports.usage(ctx, **wrong)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(InvalidInput):
        await reports.usage(ctx, since=datetime(2026, 1, 1))  # noqa: DTZ001  # that is the point


async def test_a_forecast_judges_the_rest_by_the_days_before(
    node: Node, reports: UsageReports, ctx: Context
) -> None:
    for back in range(1, 29):
        day = MOMENT - back * DAY
        node.ledger.record(call(back, day, 1_000 if day.weekday() < 5 else 0))
    await node.ledger.flush()
    month = await reports.forecast(ctx)
    workdays_gone = sum((MOMENT - back * DAY).weekday() < 5 for back in range(1, 20))
    assert month.spent_nanos == 1_000 * workdays_gone
    # Half of today, a Friday, and six working days until the end of the month.
    assert month.expected_nanos == month.spent_nanos + 500 + 6_000
    assert month.spent_nanos <= month.low_nanos < month.expected_nanos < month.high_nanos
    assert month.ends_at == datetime(2026, 12, 1, tzinfo=UTC)
    today = await reports.forecast(ctx, period="day")
    assert (today.spent_nanos, today.expected_nanos) == (0, 500)


async def test_a_forecast_without_a_history_goes_on_as_it_began(
    node: Node, reports: UsageReports, ctx: Context
) -> None:
    assert (await reports.forecast(ctx)).expected_nanos == 0
    node.ledger.record(call(1, MOMENT - timedelta(hours=1), 1_000))
    await node.ledger.flush()
    assert (await reports.forecast(ctx, period="day")).expected_nanos == 2_000


@pytest.mark.requirement("ORC-74")
@pytest.mark.parametrize("style", ["csv", "jsonl"])
@pytest.mark.usefixtures("calls")
async def test_a_bill_lists_every_call_once_over_its_pages(
    reports: UsageReports, ctx: Context, style: str
) -> None:
    text, cursor, pages = "", None, 0
    while True:
        page = await reports.bill(ctx, style=style, since=MOMENT - 90 * DAY, cursor=cursor, limit=2)
        text, cursor, pages = text + page.text, page.next_cursor, pages + 1
        if cursor is None:
            break
    rows = (
        list(csv.DictReader(io.StringIO(text)))
        if style == "csv"
        else list(map(json.loads, text.splitlines()))
    )
    assert [row["call"] for row in rows] == ["req_8", "req_1", "req_2", "req_3", "req_4", "req_5", "req_6"]
    assert pages == 4
    assert (rows[2]["project"], rows[2]["agent"], rows[2]["key"]) == ("app", "coder", "key_2")
    assert float(rows[2]["usd"]) == 3e-07
    assert rows[4]["usd"] in ("", None)


async def test_a_cell_is_no_formula(node: Node, reports: UsageReports, ctx: Context) -> None:
    node.ledger.record(call(1, MOMENT, model="=HYPERLINK(1)"))
    await node.ledger.flush()
    assert "'=HYPERLINK" in (await reports.bill(ctx, style="csv")).text


@pytest.mark.parametrize("cursor", ["", "x", "[]", '["yesterday", "a", "b", 1]', "[1, 2, 3, {}]"])
async def test_a_cursor_that_is_not_ours_is_refused(reports: UsageReports, ctx: Context, cursor: str) -> None:
    with pytest.raises(InvalidInput):
        await reports.bill(ctx, style="jsonl", cursor=cursor)


@pytest.mark.requirement("ORC-09")
def test_savings_are_summed_by_category() -> None:
    parts = (("compute", 5_000), ("storage", 2_000), ("bandwidth", 3_000), ("api_calls", 1_500))
    report = SavingsReport(tuple(Saving(name, "do it", Money.usd(amount)) for name, amount in parts))  # type: ignore[arg-type]  # of the four
    assert report.to_json()["by_category"] == {name: float(amount) for name, amount in parts}
    assert report.to_json()["monthly_usd"] == 11_500.0


@pytest.mark.requirement("ORC-13")
def test_what_builds_on_ones_own_machines_save() -> None:
    report = SavingsReport(CiUsage(minutes=10_000, large_builds=50, bandwidth_gb=1_000).savings())
    assert [one.monthly for one in report.savings] == [Money.usd(80), Money.usd(1_000), Money.usd(90)]
    assert report.total == Money.usd(1_170)
    with pytest.raises(InvalidInput):
        CiUsage(minutes=-1).savings()


@pytest.mark.requirement("ENT-68", "ORC-09")
@pytest.mark.usefixtures("calls")
async def test_the_ledger_says_what_could_be_saved(node: Node, reports: UsageReports, ctx: Context) -> None:
    dear = TokenCost(Rates(3 * 10**9, 15 * 10**9, 3 * 10**8, 3 * 10**9), "list")
    cheap = TokenCost(Rates(10**8, 5 * 10**8, 10**7, 10**8), "list")
    usage = Usage(10_000_000, 1_000_000)
    node.ledger.record(call(20, MOMENT, dear.of(usage), model="large", usage=usage))
    node.ledger.record(
        call(21, MOMENT, cheap.of(Usage(1_000, 1_000)), model="small", usage=Usage(1_000, 1_000))
    )
    await node.ledger.flush()
    rows = await reports.usage(ctx, by=("provider", "model"))
    prices = {"large": dear, "small": cheap}
    found = of_model_calls(rows, lambda _, model: prices.get(model), days=15)
    assert [one.advice for one in found] == [
        "Ask openai:small instead of openai:large where it is good enough",
        "Let openai:large cache prompts that begin alike",
    ]
    assert found[0].monthly == Money((dear.of(usage) - cheap.of(usage)) * 2)
    assert found[1].monthly == Money(5_000_000 * 2_700 * 2)

"""A person is asked once, answers once, from any process, and silence counts."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.clock import now
from mosaic.core.context import Actor, Context
from mosaic.core.errors import Conflict, InvalidInput, NotFound, PermissionDenied, PolicyDenied
from mosaic.engine import EngineSettings, Execution, Safety
from mosaic.storage import Database
from mosaic.tools import (
    Approval,
    ApprovalNeeded,
    ApprovalRequest,
    ApprovalRule,
    Approvals,
    ApprovalStatus,
    InvalidArguments,
    Policy,
    RiskClass,
    Toolbox,
    ToolResult,
)
from mosaic.tools.schemas import OnTimeout
from tests.tools.conftest import Bench
from tests.tools.test_door import Counter

pytestmark = pytest.mark.anyio


def dangerous(**spec: Any) -> Counter:
    return Counter(**({"risk": RiskClass.DESTRUCTIVE, "safety": Safety.UNSAFE, "name": "x.drop"} | spec))


async def asked(bench: Bench, tool: Counter, **options: Any) -> Approval:
    """Call, be asked, and return the question."""
    with pytest.raises(ApprovalNeeded) as caught:
        await bench.call(tool, {"n": 1}, name="c", **options)
    assert caught.value.approval is not None
    return caught.value.approval


@pytest.mark.requirement("MOZ-29", "MOZ-32")
async def test_a_risky_call_asks_and_runs_exactly_once_after_yes(bench: Bench) -> None:
    tool = dangerous()
    approval = await asked(bench, tool)
    assert (await asked(bench, tool)).id == approval.id, "it asks once, however often it is replayed"
    assert tool.invocations == []
    decided = await bench.approvals.decide(bench.ctx, approval.id, approve=True, note="go")
    assert (decided.status, decided.decided_by, decided.note) == ("approved", "user:u1", "go")
    for _ in range(3):
        assert (await bench.call(tool, {"n": 1}, name="c")).content == 1
    assert len(tool.invocations) == 1
    events = [event for event in await bench.events() if event.type != "signal.received"]
    assert [event.type for event in events] == ["approval.requested", "approval.decided", "tool.called"]
    assert events[2].data["approval"] == approval.id
    assert events[2].data["approved_by"] == "user:u1"
    assert {event.run_id for event in events} == {"run_1"}


async def test_after_no_it_never_runs_and_the_agent_reads_why(bench: Bench) -> None:
    tool = dangerous()
    approval = await asked(bench, tool)
    await bench.approvals.decide(bench.ctx, approval.id, approve=False, note="too early")
    for _ in range(2):
        result = await bench.call(tool, {"n": 1}, name="c")
        assert result.is_error
        assert result.content == {
            "error": "not_approved",
            "message": "x.drop was not approved (rejected). user:u1 wrote: too early",
            "approval": approval.id,
        }
    assert tool.invocations == []
    assert [event.type for event in await bench.events("tool.rejected")] == ["tool.rejected"]


async def test_the_question_says_who_what_why_and_what_follows(bench: Bench) -> None:
    async def cost(_ctx: Context, run_id: str) -> str:
        return f"$0.42 of {run_id}"

    bench.door._cost_so_far = cost
    (bench.workspace / "old.py").write_text("x = 1\n")
    with pytest.raises(ApprovalNeeded) as caught:
        await bench.call("files.delete", {"path": "old.py"}, agent="coder", why="It is not used any more.")
    approval = caught.value.approval
    assert approval is not None
    assert approval.title == "coder wants to call files.delete"
    detail = approval.detail
    assert detail["arguments"] == {"path": "old.py"}
    assert "-x = 1\n" in detail["diff"]
    assert detail["why"] == "It is not used any more."
    assert detail["agent"] == "coder"
    assert detail["risk"] == "destructive"
    assert detail["cost_so_far"] == "$0.42 of run_1"
    assert "runs once" in detail["on_approve"]
    assert "does not run" in detail["on_reject"]
    json.dumps(approval.to_json())


async def test_secrets_in_a_question_are_masked(bench: Bench) -> None:
    with pytest.raises(ApprovalNeeded) as caught:
        await bench.call(
            "shell.run",
            {"command": "curl -H 'x: sk-ant-REDACTME-0123456789abcdef'"},
            policy=Policy().narrowed({"exec": "ask"}),
        )
    assert caught.value.approval is not None
    shown = json.dumps(caught.value.approval.to_json())
    assert "REDACTME" not in shown
    assert "[redacted]" in shown


async def test_deciding_twice_is_a_conflict_that_says_who_was_first(bench: Bench) -> None:
    approval = await asked(bench, dangerous())
    await bench.approvals.decide(bench.ctx, approval.id, approve=False)
    with pytest.raises(Conflict, match="rejected already, by user:u1"):
        await bench.approvals.decide(bench.ctx, approval.id, approve=True)


async def test_of_two_that_decide_at_once_one_wins(bench: Bench) -> None:
    approval = await asked(bench, dangerous())
    outcomes = await asyncio.gather(
        *(
            bench.approvals.decide(
                bench.ctx.acting_as(Actor("user", f"u{n}")), approval.id, approve=bool(n % 2)
            )
            for n in range(6)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Approval) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 5
    assert len(await bench.events("approval.decided")) == 1


async def test_arguments_may_be_edited_and_must_still_fit(bench: Bench) -> None:
    tool = dangerous()
    approval = await asked(bench, tool)
    with pytest.raises(InvalidArguments, match="edited arguments do not fit"):
        await bench.approvals.decide(bench.ctx, approval.id, approve=True, arguments={"m": 1})
    with pytest.raises(InvalidInput, match="only when approving"):
        await bench.approvals.decide(bench.ctx, approval.id, approve=False, arguments={"n": 2})
    with pytest.raises(InvalidInput, match="not an answer"):
        await bench.approvals.decide(bench.ctx, approval.id, approve=True, answer="yes")
    await bench.approvals.decide(bench.ctx, approval.id, approve=True, arguments={"n": 7})
    await bench.call(tool, {"n": 1}, name="c")
    (event,) = await bench.events("tool.called")
    assert event.data["arguments"] == {"n": 7}
    assert event.data["edited"] is True


async def test_edited_arguments_do_not_get_past_a_deny(bench: Bench) -> None:
    with pytest.raises(ApprovalNeeded) as caught:
        await bench.call(
            "http.request",
            {"url": "http://example.com"},
            name="c",
            policy=Policy().narrowed({"network": "ask"}),
        )
    assert caught.value.approval is not None
    changed = {"url": "http://example.com", "method": "DELETE"}
    await bench.approvals.decide(bench.ctx, caught.value.approval.id, approve=True, arguments=changed)
    with pytest.raises(PolicyDenied, match="with the edited arguments"):
        await bench.call(
            "http.request",
            {"url": "http://example.com"},
            name="c",
            policy=Policy().narrowed({"network": "ask", "destructive": "deny"}),
        )


@pytest.mark.parametrize("actor", ["agent:coder", "webhook:x", "system:x"])
async def test_only_people_answer(bench: Bench, actor: str) -> None:
    approval = await asked(bench, dangerous())
    with pytest.raises(PermissionDenied, match="may not answer"):
        await bench.approvals.decide(bench.ctx.acting_as(Actor.parse(actor)), approval.id, approve=True)
    assert (await bench.approvals.get(bench.ctx, approval.id)).pending


@pytest.mark.requirement("MOZ-31", "MAOS-33")
async def test_a_role_is_required_where_the_tool_says_so(bench: Bench) -> None:
    class Team:
        async def holds_any(self, ctx: Context, roles: Any) -> bool:
            return ctx.actor.id in roles

    approvals = Approvals(bench.database, bench.journal, bench.engine, roles=Team())
    approval = await asked(bench, dangerous(approval=ApprovalRule(roles=("lead", "owner"))))
    assert approval.roles == ("lead", "owner")
    with pytest.raises(PermissionDenied, match="one of the roles lead, owner"):
        await approvals.decide(bench.ctx, approval.id, approve=True)
    lead = bench.ctx.acting_as(Actor("user", "lead"))
    assert (await approvals.decide(lead, approval.id, approve=True)).decided_by == "user:lead"


async def test_another_tenant_sees_nothing(bench: Bench) -> None:
    approval = await asked(bench, dangerous())
    other = replace(bench.ctx, tenant="t2")
    assert await bench.approvals.list(other) == []
    with pytest.raises(NotFound):
        await bench.approvals.get(other, approval.id)
    with pytest.raises(NotFound):
        await bench.approvals.decide(other, approval.id, approve=True)


@pytest.mark.parametrize(
    ("on_timeout", "status", "runs"), [("deny", "expired", False), ("approve", "approved", True)]
)
async def test_silence_counts_at_the_next_look_also_when_nobody_waits(
    bench: Bench, on_timeout: OnTimeout, status: str, runs: bool
) -> None:
    tool = dangerous(approval=ApprovalRule(timeout_s=3_600, on_timeout=on_timeout))
    approval = await asked(bench, tool)
    assert approval.expires_at is not None
    assert await bench.approvals.list(bench.ctx, status="pending") == [approval]
    bench.approvals._clock = lambda: now() + timedelta(hours=2)
    (listed,) = await bench.approvals.list(bench.ctx)
    assert (listed.status, listed.decided_by) == (status, "system:timeout")
    assert await bench.approvals.list(bench.ctx, status="pending") == []
    with pytest.raises(Conflict):
        await bench.approvals.decide(bench.ctx, approval.id, approve=True)
    result = await bench.call(tool, {"n": 1}, name="c")
    assert result.is_error is not runs
    assert len(tool.invocations) == int(runs)
    (event,) = await bench.events("approval.expired")
    assert event.actor == "system:timeout"


async def test_what_a_finished_run_still_asks_is_withdrawn(bench: Bench) -> None:
    approval = await asked(bench, dangerous())
    async with bench.database.transaction() as tx:
        assert await bench.approvals.withdraw(tx, bench.ctx, "run_1") == 1
    assert (await bench.approvals.get(bench.ctx, approval.id)).status is ApprovalStatus.EXPIRED


async def test_a_question_of_a_workflow_takes_an_answer_that_fits(bench: Bench) -> None:
    question = ApprovalRequest(
        kind="ask",
        title="Which environment?",
        detail={"choices": ["staging", "production"]},
        arguments_schema={"enum": ["staging", "production"]},
    )
    approval = await bench.approvals.request(bench.effects(), "ask", question)
    with pytest.raises(InvalidArguments, match="answer does not fit"):
        await bench.approvals.decide(bench.ctx, approval.id, approve=True, answer="moon")
    with pytest.raises(InvalidArguments, match="answer does not fit"):
        await bench.approvals.decide(bench.ctx, approval.id, approve=True)
    decided = await bench.approvals.decide(bench.ctx, approval.id, approve=True, answer="staging")
    assert decided.answer == "staging"
    assert await bench.approvals.request(bench.effects(), "ask", question) == decided


async def test_a_secret_in_an_answer_is_refused(bench: Bench) -> None:
    question = ApprovalRequest(kind="ask", title="Token?")
    approval = await bench.approvals.request(bench.effects(), "ask", question)
    with pytest.raises(InvalidInput, match="looks like a secret"):
        await bench.approvals.decide(
            bench.ctx, approval.id, approve=True, answer="sk-ant-0123456789abcdefghij"
        )


async def test_an_unknown_status_names_the_known_ones(bench: Bench) -> None:
    with pytest.raises(InvalidInput, match="no approval status"):
        await bench.approvals.list(bench.ctx, status="open")


# With a real engine

DECIDE = """
import asyncio, sys
from pathlib import Path
from mosaic.core.context import Actor, Context
from mosaic.core.redaction import Redactor
from mosaic.engine import Engine
from mosaic.events import Journal, open_bus
from mosaic.storage import Database, FileBlobs, StorageSettings
from mosaic.tools import Approvals

async def main(url, data_dir):
    database = Database(StorageSettings(url, Path(data_dir)))
    bus = open_bus(database)
    journal = Journal(database, bus, redactor=Redactor(), blobs=FileBlobs(Path(data_dir) / "blobs"))
    approvals = Approvals(database, journal, Engine(database, journal, bus))
    ctx = Context("t1", "p1", Actor("user", "someone-else"))
    (waiting,) = await approvals.list(ctx, status="pending")
    await approvals.decide(ctx, waiting.id, approve=True, note="from afar")
    await bus.close()
    await database.close()

asyncio.run(main(*sys.argv[1:]))
"""


def decide_elsewhere(url: str, data_dir: Path) -> None:
    subprocess.run([sys.executable, "-c", DECIDE, url, str(data_dir)], check=True, timeout=60)


async def drop_and_wait(bench: Bench, tool: Counter, execution: Execution) -> Any:
    """What a room above does with a call that asks: wait for the answer, call again."""
    while True:
        try:
            result: ToolResult = await bench.door.call(
                execution.effects,
                "c",
                tool=tool.spec.name,
                arguments={},
                toolbox=Toolbox([tool]),
                policy=Policy(),
            )
        except ApprovalNeeded as needed:
            asked = await bench.approvals.get(execution.ctx, needed.data["approval_id"])
            await bench.approvals.wait(execution, asked)
        else:
            return result.to_json()


async def wait_for_question(bench: Bench) -> None:
    async with asyncio.timeout(20):
        async for event in bench.journal.tail(bench.ctx):
            if event.type == "approval.requested":
                return


@pytest.mark.requirement("MOZ-32")
async def test_an_answer_from_another_process_wakes_the_run(
    bench: Bench, database: Database, database_url: str
) -> None:
    tool = dangerous()

    async def handler(execution: Execution) -> Any:
        return await drop_and_wait(bench, tool, execution)

    bench.engine.register("drop", handler)
    await bench.engine.launch()
    try:
        await bench.engine.start(bench.ctx, execution_id="e1", run_id="run_1", handler="drop", input={})
        await wait_for_question(bench)
        await asyncio.to_thread(decide_elsewhere, database_url, database.settings.data_dir)
        ended = await bench.engine.wait("e1", timeout_s=20)
        assert ended.unwrap() == {"content": 1}
    finally:
        await bench.engine.shutdown()
    (event,) = await bench.events("approval.decided")
    assert (event.actor, event.data["note"]) == ("user:someone-else", "from afar")


async def test_a_waiting_run_goes_on_when_the_time_is_up(bench: Bench) -> None:
    tool = dangerous(approval=ApprovalRule(timeout_s=0.2))

    async def handler(execution: Execution) -> Any:
        return await drop_and_wait(bench, tool, execution)

    bench.engine.settings = EngineSettings()
    bench.engine.register("drop", handler)
    await bench.engine.launch()
    try:
        await bench.engine.start(bench.ctx, execution_id="e1", run_id="run_1", handler="drop", input={})
        ended = await bench.engine.wait("e1", timeout_s=20)
    finally:
        await bench.engine.shutdown()
    assert ended.output["is_error"]  # type: ignore[index,call-overload]
    assert tool.invocations == []

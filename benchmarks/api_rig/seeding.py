"""An installation that has been in use for four weeks: runs with their events, calls with their cost, approvals, plans.

Written past the services, a table at a time: a benchmark of reading need not wait for a hundred thousand commits.
"""

import itertools
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy

from mosaic.core.ids import new_id
from mosaic.storage import StorageSettings, metadata
from mosaic.storage.engines import make_sync_engine
from mosaic.storage.migrations import autogenerate, upgrade

__all__ = ["EVENTS_PER_RUN", "Seeded", "seed"]

TENANT, PROJECT, OWNER = "local", "default", "user:owner"
EVENTS_PER_RUN = 50
_STEPS = 16  # three events each, and two at the beginning
_DAYS = 28
_ROWS = 2_000
_WAITING = 20
_ANSWERED = 380
_WORKFLOWS = ("hello-team", "fix-failing-test", "nightly-report", "triage", "review")
_AGENTS = ("ada", "grace", "linus", "margaret", "edsger", "barbara")
_MODELS = (("openai", "gpt-5-mini"), ("anthropic", "claude-sonnet-5"), ("ollama", "qwen3"))

Row = dict[str, Any]


class Seeded:
    """What there is to ask for.

    Attributes:
        runs: every run, oldest first.
        approvals: every approval.
        head: the journal's last sequence number.
    """

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.approvals: list[str] = []
        self.head = 0


def seed(url: str, home: Path, *, events: int, chance: random.Random) -> Seeded:
    """Migrate the database of an installation and fill it."""
    storage = StorageSettings(url, home)
    upgrade(lambda: make_sync_engine(storage))
    autogenerate.import_models()
    engine = make_sync_engine(storage, poolclass=sqlalchemy.pool.NullPool)
    seeded, rows = Seeded(), _Rows(chance, events // EVENTS_PER_RUN)
    with engine.begin() as connection:
        for table, made in rows.all(seeded):
            for part in _batches(made):
                connection.execute(metadata.tables[table].insert(), part)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")  # what it does by itself, in four weeks
    engine.dispose()
    return seeded


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while part := list(itertools.islice(iterator, _ROWS)):
        yield part


class _Rows:
    """Makes the rows of every table, in the order of time."""

    def __init__(self, chance: random.Random, runs: int) -> None:
        self._chance = chance
        begin = datetime.now(UTC) - timedelta(days=_DAYS)
        self._times = [begin + timedelta(days=_DAYS) * (number / runs) for number in range(runs)]
        self._runs = [new_id("run") for _ in range(runs)]

    def all(self, seeded: Seeded) -> Iterator[tuple[str, list[Row]]]:
        seeded.runs = self._runs
        seeded.head = len(self._runs) * EVENTS_PER_RUN
        approvals = self._approvals()
        seeded.approvals = [row["id"] for row in approvals]
        yield "run", [self._run(number) for number in range(len(self._runs))]
        yield "budget", [self._budget(run) for run in self._runs]
        yield (
            "model_call",
            [self._call(number, turn) for number in range(len(self._runs)) for turn in range(10)],
        )
        yield "approval", approvals
        yield "event", [event for number in range(len(self._runs)) for event in self._events(number)]
        yield "journal_head", [{"tenant_id": TENANT, "seq": seeded.head}]

    def _is_waiting(self, number: int) -> bool:
        return number >= len(self._runs) - _WAITING

    def _run(self, number: int) -> Row:
        at = self._times[number]
        status = "running" if self._is_waiting(number) else "failed" if number % 9 == 0 else "succeeded"
        ended = status != "running"
        return {
            "tenant_id": TENANT, "id": self._runs[number], "project_id": PROJECT,
            "workflow": _WORKFLOWS[number % len(_WORKFLOWS)], "version": "1.0.0",
            "definition_hash": f"sha256:{number % len(_WORKFLOWS):064x}", "status": status,
            "inputs": {"topic": f"the question of day {number}", "words": 400}, "options": {"priority": 10},
            "outputs": {"summary": "It is done, and this is what came of it. " * 4} if status == "succeeded" else None,
            "error": {"code": "provider_error", "message": "the model did not answer"} if status == "failed" else None,
            "workspace": None, "root_run_id": self._runs[number], "parent_run_id": None, "forked_from": None,
            "created_at": at, "started_at": at + timedelta(seconds=1),
            "finished_at": at + timedelta(seconds=90) if ended else None,
        }  # fmt: skip

    def _budget(self, run: str) -> Row:
        return {
            "tenant_id": TENANT, "run_id": run, "root_run_id": run, "limit_nanos": 5 * 10**9, "limit_tokens": None,
            "spent_nanos": 10**7, "reserved_nanos": 0, "spent_tokens": 9_000, "reserved_tokens": 0,
        }  # fmt: skip

    def _call(self, number: int, turn: int) -> Row:
        provider, model = _MODELS[(number + turn) % len(_MODELS)]
        return {
            "tenant_id": TENANT, "run_id": self._runs[number], "call_key": f"step{turn}#model", "turn": 1,
            "root_run_id": self._runs[number], "project_id": PROJECT, "path": f"step{turn}",
            "agent": _AGENTS[turn % len(_AGENTS)], "provider": provider, "model": model,
            "response_id": f"resp_{number}_{turn}", "input_tokens": self._chance.randrange(200, 4_000),
            "output_tokens": self._chance.randrange(50, 900), "cached_input_tokens": 0, "cache_write_tokens": 0,
            "reasoning_tokens": 0, "estimated": False, "nanos": self._chance.randrange(10**5, 10**7),
            "occurred_at": self._times[number] + timedelta(seconds=5 * turn), "source": "run", "operation": "chat",
            "key_id": None, "route": "bench", "cached": False, "latency_ms": self._chance.randrange(300, 4_000),
            "outcome": "ok",
        }  # fmt: skip

    def _approvals(self) -> list[Row]:
        count = len(self._runs)
        asked = sorted(self._chance.sample(range(count - _WAITING), min(_ANSWERED, count - _WAITING)))
        return [self._approval(number) for number in (*asked, *range(count - _WAITING, count))]

    def _approval(self, number: int) -> Row:
        pending, at = self._is_waiting(number), self._times[number] + timedelta(seconds=30)
        return {
            "tenant_id": TENANT, "id": self._approval_id(number), "project_id": PROJECT, "run_id": self._runs[number],
            "path": "step10", "kind": "tool", "title": "git push origin main",
            "detail": {"tool": "shell.run", "arguments": {"command": ["git", "push", "origin", "main"]}, "risk": "write"},
            "roles": ["owner"], "status": "pending" if pending else "approved", "requested_by": "agent:ada",
            "requested_at": at, "expires_at": None, "on_timeout": "reject",
            "decided_by": None if pending else OWNER, "decided_at": None if pending else at + timedelta(seconds=20),
            "note": None,
        }  # fmt: skip

    def _approval_id(self, number: int) -> str:
        return f"apr_{self._runs[number].removeprefix('run_')}"

    def _events(self, number: int) -> Iterator[Row]:
        run, at = self._runs[number], self._times[number]
        made: list[tuple[str, str | None, Row]] = [
            (
                "run.created",
                None,
                {"workflow": _WORKFLOWS[number % len(_WORKFLOWS)], "inputs": {"topic": "a question"}},
            ),
            (
                "run.started",
                None,
                {"agents": dict.fromkeys(_AGENTS, "openai:gpt-5-mini"), "node": "node_1"},
            ),
        ]
        for step in range(_STEPS - 1):
            path, agent = f"step{step}", _AGENTS[step % len(_AGENTS)]
            made.append(("step.started", path, {"kind": "agent", "agent": agent}))
            called = {
                "agent": agent,
                "model": "openai:gpt-5-mini",
                "tokens": 1_234,
                "usd": 0.0021,
                "latency_ms": 812,
            }
            if self._is_waiting(number) and step == 10:
                made.append(
                    ("approval.requested", path, {"approval": self._approval_id(number), "title": "git push"})
                )
            else:
                made.append(("model.called", path, called))
            text = "What was found, in a few sentences that somebody reads. " * 3
            if not (self._is_waiting(number) and step == 10):
                made.append(("step.completed", path, {"result": {"text": text}}))
        end = ("run.succeeded", None, {"outputs": {"summary": "It is done."}})
        made += [("agent.message", "step14", {"agent": "ada", "text": "One more word on this."})] * (
            EVENTS_PER_RUN - len(made) - 1
        )
        made.append(made[-1] if self._is_waiting(number) else end)
        for place, (kind, path, data) in enumerate(made):
            yield {
                "tenant_id": TENANT, "seq": number * EVENTS_PER_RUN + place + 1, "id": new_id("evt"), "type": kind,
                "schema_version": 1, "occurred_at": at + timedelta(seconds=place), "project_id": PROJECT,
                "actor": "system:engine", "correlation": run, "causation": None, "run_id": run, "path": path,
                "data": data,
            }  # fmt: skip

"""A node's cost room, and nodes in processes of their own."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.context import Actor, Context
from mosaic.core.errors import BudgetExceeded
from mosaic.core.redaction import Redactor
from mosaic.cost import Bookkeeper, BudgetLimits, Budgets, BudgetSettings, Hold, Ledger, NewBudget, Payer
from mosaic.events import Bus, Journal, open_bus
from mosaic.storage import Database, FileBlobs, StorageSettings

WAIT_S = 60.0
ROOT = Path(__file__).resolve().parents[2]
PAYER = Payer("t1", "p1", key_id="key_1")


@dataclass
class Node:
    """One process's view: its leases, and what it writes."""

    books: Bookkeeper
    budgets: Budgets
    limits: BudgetLimits
    ledger: Ledger
    journal: Journal

    async def hold(self, nanos: int | None, tokens: int = 1, payer: Payer = PAYER) -> Hold:
        """Hold as the model door does."""
        return self.budgets.try_hold(payer, nanos, tokens) or await self.budgets.hold(payer, nanos, tokens)

    async def refused(self, nanos: int | None, tokens: int = 1, payer: Payer = PAYER) -> BudgetExceeded:
        """Hold too much, and return the refusal."""
        with pytest.raises(BudgetExceeded) as caught:
            await self.hold(nanos, tokens, payer)
        return caught.value

    async def spend(self, nanos: int, tokens: int = 1, payer: Payer = PAYER) -> None:
        """Hold and settle the same amount, and wait until it is written."""
        self.budgets.settle(await self.hold(nanos, tokens, payer), nanos, tokens)
        await self.books.wait_for_batch()


Start = Callable[..., Awaitable[Node]]


@pytest.fixture
async def start(database_url: str, tmp_path: Path, redactor: Redactor) -> AsyncIterator[Start]:
    """Start a node on the test's database, with settings of its own; all are closed after the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(*, running: bool = True, **settings: object) -> Node:
            database = Database(StorageSettings(database_url, tmp_path / "data", busy_timeout_ms=30_000))
            stack.push_async_callback(database.close)
            bus: Bus = open_bus(database)
            stack.push_async_callback(bus.close)
            journal = Journal(
                database, bus, redactor=redactor, blobs=FileBlobs(tmp_path / "blobs", durable=False)
            )
            books = Bookkeeper(database, journal, BudgetSettings(**settings))  # type: ignore[arg-type]  # a test's own
            budgets = Budgets(database, journal, bus, books)
            if running:
                await budgets.start()
            stack.push_async_callback(budgets.close)
            return Node(books, budgets, BudgetLimits(database, journal, bus, books), Ledger(books), journal)

        yield start


@pytest.fixture
async def node(start: Start) -> Node:
    return await start()


@pytest.fixture
def other() -> Context:
    """Somebody of another tenant."""
    return Context("t2", "p1", Actor("user", "u2"))


class Spender:
    """A node in a process of its own, which spends at random; see `tests.cost.spender`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self._log = log

    async def said(self) -> dict[str, int]:
        """Return the next thing it says."""
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), WAIT_S)
        assert line, "the spender has ended"
        shown: dict[str, int] = json.loads(line)
        return shown

    def go(self) -> None:
        """Let it begin."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")

    async def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        await self.process.wait()

    @property
    def spent(self) -> int:
        """What its calls have really cost, whether or not it lived to write it down."""
        return sum(int(line) for line in self._log.read_text().splitlines()) if self._log.exists() else 0


@pytest.fixture
async def spender(database_url: str, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Spender]]]:
    """Start a spender; those that still run are killed after the test."""
    started: list[Spender] = []

    async def start(*, calls: int, most: int, seed: int, ttl_s: float = 15.0) -> Spender:
        log = tmp_path / f"spent-{len(started)}"
        arguments = (database_url, str(tmp_path / f"home-{len(started)}"), str(log), calls, most, seed, ttl_s)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.cost.spender", *map(str, arguments),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=dict(os.environ),
            cwd=ROOT,
        )  # fmt: skip
        spender = Spender(process, log)
        started.append(spender)
        assert await spender.said() == {"ready": 1}
        return spender

    yield start
    for spender in started:
        if spender.process.returncode is None:
            await spender.kill()


async def until(check: Callable[[], Awaitable[Any]]) -> Any:
    """Look again and again until `check` finds something, for what no event tells of; return it."""
    async with asyncio.timeout(WAIT_S):
        while not (found := await check()):  # noqa: ASYNC110  # see above
            await asyncio.sleep(0.02)
    return found


async def limit(node: Node, ctx: Context, scope: str, subject: str = "", **amounts: object) -> str:
    """Set a limit and have the node know it; return its id."""
    budget = await node.limits.set(ctx, NewBudget(scope, subject, **amounts))  # type: ignore[arg-type]  # a test's own
    await node.budgets.refresh()
    return budget.id

"""A process that spends: many calls at once, each of a random price, some never answered.

    python -m tests.cost.spender URL DATA LOG CALLS MOST SEED TTL_S

What a call really costs is appended to LOG before the budget is told, as a provider would bill it whatever becomes
of us.
"""

import asyncio
import json
import os
import random
import sys
from pathlib import Path

from mosaic.core.errors import BudgetExceeded
from mosaic.core.redaction import Redactor
from mosaic.cost import Bookkeeper, Budgets, BudgetSettings, Ledger, LedgerEntry, Payer
from mosaic.events import Journal, open_bus
from mosaic.providers import Usage
from mosaic.storage import Database, MemoryBlobs, StorageSettings

AT_ONCE = 500


def say(**shown: int) -> None:
    print(json.dumps(shown), flush=True)  # noqa: T201  # how the test reads it


async def main(url: str, data: str, log: str, calls: int, most: int, seed: int, ttl_s: float) -> None:
    chance = random.Random(seed)
    database = Database(StorageSettings(url, Path(data), busy_timeout_ms=30_000))
    bus = open_bus(database)
    journal = Journal(database, bus, redactor=Redactor(), blobs=MemoryBlobs())
    books = Bookkeeper(database, journal, BudgetSettings(holder_ttl_s=ttl_s))
    budgets, ledger = Budgets(database, journal, bus, books), Ledger(books)
    await budgets.start()
    bill = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    say(ready=1)
    await asyncio.to_thread(sys.stdin.readline)
    spent = refused = 0

    async def call(number: int) -> None:
        nonlocal spent, refused
        price = chance.randint(1, most)
        payer = Payer("t1", f"p{number % 2}", agent=f"a{number % 3}", key_id=f"key_{number % 5}")
        try:
            hold = budgets.try_hold(payer, price, 10) or await budgets.hold(payer, price, 10)
        except BudgetExceeded:
            refused += 1
            return
        await asyncio.sleep(chance.random() * 0.02)
        fate = chance.random()
        if fate < 0.05:
            budgets.release(hold)
            return
        cost = chance.randint(0, price)
        os.write(bill, b"%d\n" % cost)
        spent += cost
        if fate < 0.10:
            budgets.leave_unconfirmed(hold)
            return
        budgets.settle(hold, cost, 7)
        ledger.record(
            LedgerEntry(payer, f"req_{seed}_{number}", "openai.chat", None, "openai", "m", Usage(3, 4), cost)
        )

    for start in range(0, calls, AT_ONCE):
        await asyncio.gather(*(call(number) for number in range(start, min(start + AT_ONCE, calls))))
        say(calls=min(start + AT_ONCE, calls))
    await budgets.close()
    await bus.close()
    await database.close()
    say(spent=spent, refused=refused)


if __name__ == "__main__":
    url, data, log, calls, most, seed, ttl_s = sys.argv[1:]
    asyncio.run(main(url, data, log, int(calls), int(most), int(seed), float(ttl_s)))

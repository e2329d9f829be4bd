"""The scripted upstreams: processes of their own, killed and told to fail, with a timeline of when each was well."""

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["FAULTS", "Fleet", "Member"]

_HERE = Path(__file__).parent
_ANSWER_S = 20.0

# What a storm may do to an endpoint, and to which share of its requests.
FAULTS: Sequence[tuple[str, tuple[float, ...]]] = (
    ("killed", (1.0,)),
    ("slow", (1.0,)),
    ("limited", (1.0, 0.5)),
    ("broken", (1.0, 0.5)),
    ("away", (1.0, 0.3)),
    ("resting", (1.0,)),
    ("hanging", (1.0, 0.2)),
    ("garbage", (1.0, 0.3)),
    ("garbled", (1.0,)),
    ("half", (1.0, 0.3)),
    ("reset", (1.0, 0.3)),
    ("cut", (1.0, 0.5)),
    ("failing", (1.0, 0.5)),
    ("flooding", (0.3,)),
)
HARMLESS = frozenset({"ok", "slow"})
# These say for how long they want no calls; until then they are not well, whatever they would answer.
ASKS_FOR_REST = frozenset({"limited", "resting"})
_ASKED_REST_S = 1.1


@dataclass
class Member:
    """One endpoint.

    Attributes:
        well: when it answered everything as it should: pairs of moments, the last one open.
        mode: what it was told last, or ``killed``.
    """

    name: str
    port: int
    record: Path
    seed: int
    process: asyncio.subprocess.Process | None = None
    well: list[list[float]] = field(default_factory=list)
    mode: str = "ok"
    first: int = 0

    async def start(self) -> None:
        """Start its process and wait until it listens."""
        options = {"port": self.port, "record": str(self.record), "seed": self.seed, "first": self.first}
        self.first += 10_000_000  # numbers of requests stay apart
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(_HERE / "upstream.py"),
            json.dumps(options),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            await self._line(process)
        except BaseException:  # whoever starts it next must not read what this one says
            process.kill()
            await process.wait()
            raise
        self.process = process
        self.mode = "ok"
        self.well.append([time.monotonic(), float("inf")])

    async def tell(self, mode: str, share: float = 1.0, *, drop: bool = False) -> None:
        """Have it answer so from now on, at once for requests that come."""
        if mode not in HARMLESS and self.mode in HARMLESS:
            self._unwell()
        await self._ask({"mode": mode, "share": share, "drop": drop})
        if mode in HARMLESS and self.mode not in HARMLESS:
            rest_s = _ASKED_REST_S if self.mode in ASKS_FOR_REST else 0.0
            self.well.append([time.monotonic() + rest_s, float("inf")])
        self.mode = mode

    async def state(self) -> dict[str, Any]:
        """Return what it has open and how much it was asked."""
        return await self._ask({})

    async def kill(self) -> None:
        """End its process as a crash does."""
        process, self.process = self.process, None
        if self.mode in HARMLESS:
            self._unwell()
        self.mode = "killed"
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        with self.record.open("a") as record:
            record.write(f"K 0 - {time.monotonic()}\n")

    @property
    def is_well(self) -> bool:
        """It answers everything as it should, and is not resting."""
        return self.mode in HARMLESS and self.well[-1][0] <= time.monotonic()

    def was_well(self, since: float, until: float) -> bool:
        """Say whether it was well all the time."""
        return any(start <= since and until <= end for start, end in self.well)

    def _unwell(self) -> None:
        self.well[-1][1] = time.monotonic()

    async def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        if self.process is None or self.process.stdin is None:
            raise RuntimeError(f"{self.name} does not run")
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        return dict(json.loads(await self._line(self.process)))

    async def _line(self, process: asyncio.subprocess.Process) -> bytes:
        if process.stdout is None:
            raise RuntimeError(f"{self.name} does not run")
        async with asyncio.timeout(_ANSWER_S):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"the endpoint {self.name} has ended")
        return line


class Fleet:
    """All endpoints.

    Attributes:
        faults: how often each fault was set.
    """

    def __init__(self, members: dict[str, Member], *, seed: int) -> None:
        self.members = members
        self.faults: dict[str, int] = {}
        self._chance = random.Random(seed)

    @classmethod
    @asynccontextmanager
    async def open(cls, ports: dict[str, int], folder: Path, *, seed: int) -> AsyncIterator["Fleet"]:
        """Start one for each name; end them when the block ends."""
        members = {
            name: Member(name, port, folder / f"{name}.record", seed + number)
            for number, (name, port) in enumerate(ports.items())
        }
        fleet = cls(members, seed=seed)
        try:
            await asyncio.gather(*(member.start() for member in members.values()))
            yield fleet
        finally:
            await asyncio.gather(*(member.kill() for member in members.values()))

    async def storm(self, groups: Sequence[Sequence[str]], *, shortest_s: float, longest_s: float) -> None:
        """Make endpoints fail and recover at random moments, for ever; one of each group is always well."""
        while True:
            await asyncio.sleep(self._chance.uniform(shortest_s, longest_s))
            member = self._chance.choice(list(self.members.values()))
            if member.mode != "ok":
                await self._recover(member)
                continue
            others = [
                [self.members[name] for name in group if name != member.name]
                for group in groups
                if member.name in group
            ]
            if all(any(other.is_well for other in group) for group in others):
                await self._fail(member)

    async def _fail(self, member: Member) -> None:
        fault, shares = self._chance.choice(FAULTS)
        self.faults[fault] = self.faults.get(fault, 0) + 1
        if fault == "killed":
            await member.kill()
        else:
            await member.tell(fault, self._chance.choice(shares))

    async def _recover(self, member: Member) -> None:
        if member.process is None:
            await member.start()
        else:
            await member.tell("ok")

    async def calm(self) -> None:
        """Have all of them well, without anything that hangs."""
        for member in self.members.values():
            if member.process is None:
                await member.start()
            else:
                await member.tell("ok", drop=member.mode in ("hanging", "endless", "flooding"))

    async def all_tell(self, mode: str) -> None:
        """Have all of them answer so."""
        for member in self.members.values():
            await member.tell(mode)

"""The gateway under test: a home, routes, keys and budgets, and `mosaic up` as the process that people run."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
from gateway_rig.processes import free_port

__all__ = ["CENT", "INPUT_NANOS", "OUTPUT_NANOS", "PROVIDERS", "ROUTES", "Plan", "Site", "open_folder"]

CENT = 10_000_000
INPUT_NANOS, OUTPUT_NANOS = 1_000, 10_000
"""Nanos for a token, of every model: what the endpoints count by, too."""
PROVIDERS = {"alpha": "openai", "beta": "openai", "gamma": "openai", "delta": "anthropic"}
_MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5"}
_GENEROUS = 10**15
_READY_S = 60.0
_STOP_S = 40.0
_FIRST_BYTE_S = 1.0

ROUTES = {
    "three": ["alpha", "beta", "gamma"],
    "hedged": ["beta", "gamma", "alpha"],
    "cross": ["gamma", "delta", "alpha"],
    "claude": ["delta", "beta", "alpha"],
}
"""Route -> providers whose model may answer."""


def target(provider: str) -> str:
    """The target of a provider's model."""
    return f"{provider}:{_MODELS[PROVIDERS[provider]]}"


@dataclass
class Plan:
    """What is set up before the start.

    Attributes:
        capped: limit in nanos of the project that all capped keys share, and of each of its keys.
        keys: name -> secret, once made.
        ids: name -> key's id.
        limits: budget's id -> (name, nanos).
    """

    capped: tuple[int, Sequence[int]]
    keys: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    limits: dict[str, tuple[str, int]] = field(default_factory=dict)


@dataclass
class Site:
    """One installation.

    Attributes:
        url: of its database.
        port: where it answers.
    """

    home: Path
    url: str | None
    plan: Plan
    port: int = 0
    process: asyncio.subprocess.Process | None = None
    log: Path = Path()

    def prepare(self, ports: dict[str, int], **gateway: Any) -> None:
        """Write its settings and routes."""
        self.home.mkdir(parents=True)
        providers: dict[str, Any] = {}
        for name, plugin in PROVIDERS.items():
            tail = "/v1" if plugin == "openai" else ""
            providers[name] = {"plugin": plugin, "base_url": f"http://127.0.0.1:{ports[name]}{tail}"}
        price = {"input_usd_per_mtok": INPUT_NANOS / 1000, "output_usd_per_mtok": OUTPUT_NANOS / 1000}
        bounds = {
            "attempts": 4, "max_concurrency": 20_000, "connect_s": 2.0, "first_byte_s": _FIRST_BYTE_S,
            "idle_s": 1.5, "total_s": 5.0, "stalled_client_s": 2.0,
        }  # fmt: skip
        settings = {"providers": providers, "cost": {"prices": {"*:*": price}}, "gateway": bounds | gateway}
        (self.home / "config.json").write_text(json.dumps(settings))
        routes: dict[str, Any] = {
            name: {"targets": [target(provider) for provider in picked]} for name, picked in ROUTES.items()
        }
        routes["hedged"]["hedge"] = "300ms"
        first, *others = routes["claude"]["targets"]
        routes["claude"] = {"targets": [first], "fallback": others}
        for provider in PROVIDERS:
            routes[f"only-{provider}"] = {"targets": [target(provider)]}
        routes["patient"] = {"targets": [target("beta")], "timeouts": {"first_byte": 15, "total": 30}}
        (self.home / "routes.yaml").write_text(json.dumps({"routes": routes}))

    async def make_keys(self) -> None:
        """Migrate the database, make keys and set limits."""
        from mosaic.app.settings import load_settings
        from mosaic.core.context import Actor, Context
        from mosaic.core.redaction import Redactor
        from mosaic.cost import Bookkeeper, BudgetLimits, NewBudget
        from mosaic.events import Journal, open_bus
        from mosaic.security import KeyLimits, Keys, NewKey
        from mosaic.storage import Database, FileBlobs, StorageSettings
        from mosaic.storage.engines import make_sync_engine
        from mosaic.storage.migrations import upgrade

        environ = {"MOSAIC_DATABASE_URL": self.url} if self.url else {}
        settings = load_settings(self.home, environ=environ)
        storage = StorageSettings(settings.database_url, self.home)
        await asyncio.to_thread(upgrade, lambda: make_sync_engine(storage))
        database = Database(storage)
        bus = open_bus(database)
        try:
            journal = Journal(database, bus, redactor=Redactor(), blobs=FileBlobs(self.home / "blobs"))
            ctx = Context(tenant=settings.tenant, project=settings.project, actor=Actor("user", "owner"))
            keys = Keys(database, journal, bus)
            limits = BudgetLimits(database, journal, bus, Bookkeeper(database, journal))

            async def key(name: str, **more: Any) -> str:
                made, self.plan.keys[name] = await keys.create(ctx, NewKey(name=name, **more))
                self.plan.ids[name] = made.id
                return made.id

            async def limit(name: str, scope: Any, subject: str, nanos: int) -> None:
                budget = await limits.set(ctx, NewBudget(scope, subject, nanos=nanos))
                self.plan.limits[budget.id] = (name, nanos)

            await limit("tenant", "tenant", "", _GENEROUS)
            for name in ("w0", "w1", "w2", "w3"):
                await limit(name, "key", await key(name), _GENEROUS)
            await key("quota", limits=KeyLimits(concurrency=8))
            whole, each = self.plan.capped
            await limit("capped", "project", "capped", whole)
            for number, nanos in enumerate(each):
                name = f"c{number}"
                await limit(name, "key", await key(name, project="capped"), nanos)
        finally:
            await bus.close()
            await database.close()

    @contextlib.asynccontextmanager
    async def up(self, log: Path) -> AsyncIterator[None]:
        """Run `mosaic up` until the block ends; it may have been stopped by then."""
        self.port, self.log = free_port(), log
        environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("MOSAIC_", "OPENAI", "ANTHR"))
        }
        environment |= {f"{name.upper()}_API_KEY": f"sk-{name}-0123456789" for name in PROVIDERS}
        if self.url:
            environment["MOSAIC_DATABASE_URL"] = self.url
        command = ["--home", str(self.home), "up", "--port", str(self.port), "--no-example"]
        with log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "mosaic.cli", *command, stdin=asyncio.subprocess.DEVNULL, stdout=output,
                stderr=output, env=environment, cwd=self.home,
            )  # fmt: skip
        try:
            await self._ready()
            yield
        finally:
            if self.process.returncode is None:
                self.process.send_signal(signal.SIGKILL)
                await self.process.wait()

    async def _ready(self) -> None:
        async with asyncio.timeout(_READY_S):
            while True:
                if self.process is None or self.process.returncode is not None:
                    raise RuntimeError(f"the gateway did not start: {self.log.read_text()[-2000:]}")
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(self.metrics)
                    return
                await asyncio.sleep(0.1)

    async def stop(self) -> int | None:
        """Have it stop as an operator does; return its exit status, None when it had to be killed."""
        if self.process is None:
            raise RuntimeError("it does not run")
        self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_S):
                return await self.process.wait()
        except TimeoutError:
            return None

    # What it shows of itself

    def metrics(self) -> dict[str, float]:
        """What Prometheus would read, sums of counters over their labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found: dict[str, float] = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name.partition("{")[0]] = found.get(name.partition("{")[0], 0.0) + float(value)
        return found

    @property
    def memory_mb(self) -> float:
        """What the process holds in memory."""
        return float(self._ps.memory_info().rss) / 1e6

    def connections(self) -> list[tuple[int, int, str]]:
        """Its TCP connections: own port, other port, state."""
        found = self._ps.net_connections(kind="tcp")
        return [(c.laddr.port, c.raddr.port, c.status) for c in found if c.raddr]

    @property
    def _ps(self) -> psutil.Process:
        if self.process is None:
            raise RuntimeError("it does not run")
        return psutil.Process(self.process.pid)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask its database."""
        if self.url:
            with psycopg.connect(self.url) as connection:
                return connection.execute(query).fetchall()  # type: ignore[call-overload,no-any-return]
        with contextlib.closing(sqlite3.connect(self.home / "mosaic.db", timeout=30)) as connection:
            return connection.execute(query).fetchall()


@contextlib.contextmanager
def open_folder(database: str, *, keep: bool) -> Iterator[tuple[Path, str | None]]:
    """Open a folder and, for ``postgres``, a server in it; gives the folder and a database's URL."""
    from engine_overhead import fresh_postgres, postgres_server

    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="mosaic-chaos-"))
        if not keep:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if database == "postgres":
            server = stack.enter_context(postgres_server(folder / "pg"))
            yield folder, fresh_postgres(server, "chaos")
        else:
            yield folder, None

"""An installation for tests: a real application on a real database, reached as the commands reach it."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from mosaic.app.build import Application
from mosaic.app.lifespan import open_application
from mosaic.app.owner import owner_token
from mosaic.app.presence import Presence
from mosaic.app.requests import run_request
from mosaic.app.settings import Settings, load_settings
from mosaic.cli.client import Client, LocalClient
from mosaic.cli.http_client import HttpClient
from mosaic.core.context import Actor, Context
from mosaic.core.values import JsonObject
from mosaic.doors import create_doors
from mosaic.gateway.connection import ConnectionBounds, bounded_connections
from mosaic.gateway.socket_connection import LARGEST_MESSAGE_BYTES, bounded_sockets
from tests.conftest import _postgres_copy

WAIT_S = 60.0
QUICK = {"engine": {"drain_s": 2.0, "heartbeat_s": 0.3, "lease_ttl_s": 5.0}}


@contextlib.contextmanager
def database(request: pytest.FixtureRequest, kind: str, folder: Path) -> Iterator[str]:
    """The URL of a fresh, migrated database, for as long as the caller wants it."""
    if kind == "sqlite":
        file = folder / "mosaic.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), file)
        yield f"sqlite:///{file}"
        return
    with _postgres_copy(request, "mosaic_template") as url:
        yield url


def settings_of(home: Path, url: str, **more: Any) -> Settings:
    """Settings of an installation in `home` on the database `url`."""
    return load_settings(home, environ={"MOSAIC_DATABASE_URL": url}, overrides={**QUICK, **more})


def write_workflow(folder: Path, text: str, **files: str) -> Path:
    """Write a workflow file, and files beside it (``__`` in a name stands for a dot)."""
    folder.mkdir(parents=True, exist_ok=True)
    name = folder.name.replace("_", "-")
    head = "" if "metadata:" in text else f"mosaic: v1\nkind: Workflow\nmetadata: {{name: {name}}}\n"
    path = folder / "workflow.yaml"
    path.write_text(head + text)
    for file, content in files.items():
        target = folder / file.replace("__", ".").replace("_S_", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    return path


@dataclass
class Site:
    """An open installation.

    Attributes:
        client: as the commands have it.
    """

    application: Application
    client: Client
    folder: Path
    address: str | None = None

    @property
    def ctx(self) -> Context:
        settings = self.application.settings
        return Context(settings.tenant, settings.project, Actor("user", "owner"))

    def request(
        self, name: str, text: str, *, inputs: JsonObject | None = None, **options: Any
    ) -> JsonObject:
        """The request that starts a workflow of this text."""
        path = write_workflow(self.folder / "flows" / name, text)
        return run_request(path, inputs=inputs or {}, options=options)

    async def start(
        self, name: str, text: str, *, inputs: JsonObject | None = None, **options: Any
    ) -> JsonObject:
        """Start a workflow of this text."""
        return await self.client.start_run(self.request(name, text, inputs=inputs, **options))

    async def finish(self, run_id: str) -> JsonObject:
        """Wait for a run's end."""
        async with asyncio.timeout(WAIT_S):
            await self.application.runs.wait(self.ctx, run_id)
        return await self.client.run(run_id)

    async def happened(self, run_id: str, kind: str, *, path: str | None = None) -> JsonObject:
        """Wait for an event of a run and return it."""
        async with asyncio.timeout(WAIT_S), contextlib.aclosing(self.follow(run_id)) as events:
            async for event in events:
                if event["type"] == kind and path in (None, event["path"]):
                    return event
        raise AssertionError("unreachable")

    def follow(self, run_id: str | None, *, after: int = 0) -> Any:
        return self.client.events(run_id=run_id, after=after, follow=True)

    async def asked(self, run_id: str) -> JsonObject:
        """Wait until a run waits for a person; return the approval."""
        event = await self.happened(run_id, "approval.requested")
        return await self.client.approval(event["data"]["approval"])

    async def events(self, run_id: str) -> list[JsonObject]:
        """What is in a run's journal now."""
        return [event async for event in self.client.events(run_id=run_id, after=0, follow=False)]


@contextlib.asynccontextmanager
async def open_site(
    settings: Settings, folder: Path, *, http: bool = False, port: int = 0
) -> AsyncIterator[Site]:
    """Open an installation that executes, with a client in this process or one that speaks HTTP."""
    async with open_application(settings, execute=True) as application:
        if not http:
            ctx = Context(settings.tenant, settings.project, Actor("user", "owner"))
            client = LocalClient(
                application.operations,
                ctx,
                door=application.door_operations,
                providers=application.provider_operations,
                cache=application.cache_operations,
                policy=application.policy_operations,
                tools=application.tool_operations,
                plans=application.plans,
                webhooks=application.event_webhooks,
            )
            yield Site(application, client, folder)
            return
        async with (
            serving(application, port=port) as address,
            HttpClient.open(address, settings.home) as client,
        ):
            yield Site(application, client, folder, address)


class QuietServer(uvicorn.Server):
    """A server that leaves the signals to the test."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(application: Application, *, port: int = 0) -> AsyncIterator[str]:
    """Serve an application, on a free port by default; yields its address."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        # asyncio leaves Nagle's algorithm on for sockets of `create_server`: every small answer would take 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        application.address = address
        doors = create_doors(application, owner_token=owner_token(application.settings.home))
        config = uvicorn.Config(
            doors,
            interface="asgi3",
            http=bounded_connections(ConnectionBounds(), doors.direct),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws=bounded_sockets(),
            ws_max_size=LARGEST_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=2,
        )
        server = QuietServer(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        presence = Presence(application.settings.home)
        presence.announce(address)
        try:
            yield address
        finally:
            presence.withdraw()
            application.stopping.set()
            server.should_exit = True
            async with asyncio.timeout(WAIT_S):
                await task
            await doors.close()


async def command(
    *args: str, home: Path, stdin: bytes | None = None, env: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Run `mosaic` as a user does, in a process of its own; returns exit status, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mosaic.cli",
        *args,
        stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(home, **(env or {})),
        cwd=next(folder for folder in home.parents if folder.is_dir()),
    )
    try:
        async with asyncio.timeout(WAIT_S):
            out, err = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a command on an installation, with nothing of the developer's own settings."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("MOSAIC_", "ANTHROPIC", "OPENAI"))
    }
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**kept, "MOSAIC_HOME": str(home), "PYTHONPATH": path, "COLUMNS": "100", **more}


def script(agents: JsonObject) -> str:
    """A script for the `scripted` provider."""
    return json.dumps({"scripted": 1, "name": "test", "agents": agents})

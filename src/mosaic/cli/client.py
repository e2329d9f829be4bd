"""One client for the commands: in this process when no server runs, over HTTP when one does.

Both honour the same interface and the same test suite. A command that only reads or answers opens the database
without the engine; one that runs work launches the engine and thereby becomes the node that executes.
"""

import contextlib
import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any, Protocol

from mosaic.app.operations import Operations
from mosaic.app.presence import find_server
from mosaic.core.context import Actor, Context
from mosaic.core.values import JsonObject

__all__ = ["Client", "connect"]


class Client(Protocol):
    """What a command can ask for. Every value is plain JSON, as the REST API shows it."""

    address: str | None

    async def start_run(self, request: JsonObject) -> JsonObject:
        """Start a run from a bundle, inputs and options; repeated with the same run id it is one start."""
        ...

    async def run(self, run_id: str) -> JsonObject:
        """Return one run with its cost."""
        ...

    async def runs(
        self, *, status: str | None, workflow: str | None, limit: int, cursor: str | None
    ) -> JsonObject:
        """Return a page of runs, newest first."""
        ...

    def events(self, *, run_id: str | None, after: int, follow: bool) -> AsyncGenerator[JsonObject]:
        """Yield journal events in order, each once; follow for ever when asked to."""
        ...

    async def cancel(self, run_id: str) -> JsonObject:
        """Cancel a run and everything it does."""
        ...

    async def fork(self, run_id: str, *, from_step: str, inputs: JsonObject | None) -> JsonObject:
        """Start a new run that keeps the results before a step of an old one."""
        ...

    async def approvals(self, *, status: str | None, run_id: str | None) -> JsonObject:
        """Return approvals, oldest first."""
        ...

    async def approval(self, approval_id: str) -> JsonObject:
        """Return one approval."""
        ...

    async def decide(self, approval_id: str, decision: JsonObject) -> JsonObject:
        """Answer an approval."""
        ...

    async def agents(self) -> JsonObject:
        """Return the agents and the registry's figures."""
        ...

    async def artifacts(self, run_id: str) -> JsonObject:
        """Return what a run kept."""
        ...

    async def dead_letters(self) -> JsonObject:
        """Return work that was given up."""
        ...

    async def requeue(self, execution_id: str) -> JsonObject:
        """Start given-up work again."""
        ...

    async def artifact_content(self, artifact_id: str) -> bytes:
        """Return an artifact's content."""
        ...


class LocalClient:
    """The client inside this process: operations bound to the owner's context."""

    def __init__(self, operations: Operations, ctx: Context, *, address: str | None = None) -> None:
        self._operations = operations
        self._ctx = ctx
        self.address = address

    def __getattr__(self, name: str) -> Any:
        """Return the operation `name` bound to this client's context."""
        operation = getattr(self._operations, name)
        if not (inspect.iscoroutinefunction(operation) or inspect.isasyncgenfunction(operation)):
            raise AttributeError(name)
        return functools.partial(operation, self._ctx)


@contextlib.asynccontextmanager
async def connect(home: Path | None, *, execute: bool = False) -> AsyncIterator[Client]:
    """Open a client on the installation at `home`.

    Args:
        home: the data folder; None finds it.
        execute: whether work shall run in this process when no server does.

    Raises:
        Locked: if `execute` is asked for and another process that serves no address runs on this data.
    """
    from mosaic.app.lifespan import open_application
    from mosaic.app.settings import load_settings

    settings = load_settings(home)
    server = find_server(settings.home)
    if server is not None:
        from mosaic.cli.http_client import HttpClient

        async with HttpClient.open(server.address, settings.home) as client:
            yield client
        return
    actor = Actor("user", "owner")
    async with open_application(settings, execute=execute) as application:
        ctx = Context(settings.tenant, settings.project, actor)
        yield LocalClient(application.operations, ctx)

"""One client for the commands: in this process when no server runs, over HTTP when one does.

Both honour the same interface and the same test suite. A command that only reads or answers opens the database
without the engine; one that runs work launches the engine and thereby becomes the node that executes.
"""

import contextlib
import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mosaic.app.presence import find_server
from mosaic.cli.plan_client import PlanClient
from mosaic.cli.policy_client import PolicyClient
from mosaic.cli.tool_client import ToolClient
from mosaic.cli.webhook_client import WebhookClient
from mosaic.core.context import Actor, Context
from mosaic.core.errors import Locked
from mosaic.core.values import JsonObject, JsonValue

if TYPE_CHECKING:
    from mosaic.app.cache_operations import CacheOperations
    from mosaic.app.door_operations import DoorOperations
    from mosaic.app.event_webhooks import EventWebhooks
    from mosaic.app.operations import Operations
    from mosaic.app.plan_operations import PlanOperations
    from mosaic.app.policy_operations import PolicyOperations
    from mosaic.app.provider_operations import ProviderOperations
    from mosaic.app.settings import Settings
    from mosaic.app.tool_operations import ToolOperations

__all__ = ["CacheClient", "Client", "DoorClient", "LocalClient", "ProviderClient", "connect"]


class DoorClient(Protocol):
    """What a command can ask for about the model door; both clients have it, too. See `DoorOperations`."""

    async def create_key(self, wanted: JsonObject) -> JsonObject:
        """Make a key; the answer has its secret, this once."""
        ...

    async def keys(self, *, project: str | None = None) -> JsonObject:
        """Return the keys."""
        ...

    async def key(self, key_id: str) -> JsonObject:
        """Return one key with its own budgets."""
        ...

    async def revoke_key(self, key_id: str) -> JsonObject:
        """Make a key useless."""
        ...

    async def rotate_key(self, key_id: str, *, grace_s: float | None = None) -> JsonObject:
        """Give a key another secret."""
        ...

    async def set_budget(self, wanted: JsonObject) -> JsonObject:
        """Set a budget."""
        ...

    async def budgets(self, *, scope: str | None = None, subject: str | None = None) -> JsonObject:
        """Return the budgets."""
        ...

    async def budget(self, budget_id: str) -> JsonObject:
        """Return one budget."""
        ...

    async def remove_budget(self, budget_id: str) -> JsonObject:
        """Remove a budget."""
        ...

    async def lost_leases(self) -> JsonObject:
        """Return the leases of processes that are gone."""
        ...

    async def reconcile_budgets(self, *, as_spent: bool) -> JsonObject:
        """End the leases of processes that are gone."""
        ...

    async def usage(
        self,
        *,
        by: Sequence[str] = (),
        since: str | None = None,
        until: str | None = None,
        where: JsonObject | None = None,
    ) -> JsonObject:
        """Return usage and cost by some dimensions."""
        ...

    async def cost_forecast(self, *, period: str = "month", where: JsonObject | None = None) -> JsonObject:
        """Return what the present day or month will have cost."""
        ...

    async def bill(
        self,
        *,
        style: str = "jsonl",
        since: str | None = None,
        until: str | None = None,
        where: JsonObject | None = None,
        cursor: str | None = None,
        limit: int = 1_000,
    ) -> JsonObject:
        """Return a page of the ledger."""
        ...

    async def savings(self, *, figures: JsonObject | None = None) -> JsonObject:
        """Return what could be saved in a month."""
        ...

    async def prices(self, *, models: Sequence[str] = ()) -> JsonObject:
        """Return own prices, and what models cost."""
        ...

    async def set_price(self, wanted: JsonObject) -> JsonObject:
        """Set an own price."""
        ...

    async def remove_price(self, model: str) -> JsonObject:
        """Remove an own price."""
        ...


class ProviderClient(Protocol):
    """What a command can ask for about providers, models and routes. See `ProviderOperations`."""

    async def providers(self, *, kind: Any = None) -> JsonObject:
        """Return the provider instances with their health and figures."""
        ...

    async def provider(self, name: str) -> JsonObject:
        """Return one provider instance."""
        ...

    async def check_provider(self, name: str, *, model: str | None = None) -> JsonObject:
        """Send one small request to a provider and return its health."""
        ...

    async def reload_providers(self) -> JsonObject:
        """Take what settings, plugin folders and routes say now.

        Raises:
            InvalidInput: if they are wrong; nothing is changed then.
        """
        ...

    async def models(self, *, provider: str | None = None, ask: bool = False) -> JsonObject:
        """Return the models that requests can name."""
        ...

    async def routes(self) -> JsonObject:
        """Return the routes and rules in force."""
        ...

    async def explain_route(self, wanted: JsonObject) -> JsonObject:
        """Return where a request would go now, and why."""
        ...


class CacheClient(Protocol):
    """What a command can ask for about kept answers. See `CacheOperations`."""

    async def cache(self) -> JsonObject:
        """Return hit rates by route, and what each tier holds."""
        ...

    async def purge_cache(self, *, route: str | None = None, tag: str | None = None) -> JsonObject:
        """Forget answers of a route, with a tag, or all."""
        ...

    async def warm_cache(self, *, hours_ahead: int = 0) -> JsonObject:
        """Bring what is expected in an hour into memory."""
        ...


class Client(
    DoorClient, ProviderClient, CacheClient, ToolClient, PolicyClient, PlanClient, WebhookClient, Protocol
):
    """What a command can ask for. Every value is plain JSON, as the REST API shows it.

    Every verb raises `NotFound` for an id that the tenant does not have, and `Unavailable` when server or database
    cannot be reached.

    Attributes:
        address: of the server that answers; None in this process.
    """

    address: str | None

    async def start_run(self, request: JsonObject) -> JsonObject:
        """Start a run from a bundle, inputs and options; repeated with the same run id it is one start.

        Raises:
            InvalidInput: naming everything that is wrong with them.
        """
        ...

    async def run(self, run_id: str) -> JsonObject:
        """Return one run with its cost."""
        ...

    async def runs(
        self, *, status: str | None, workflow: str | None, limit: int, cursor: str | None
    ) -> JsonObject:
        """Return a page of runs, newest first: ``items``, and ``next_cursor``, None at the end."""
        ...

    def events(self, *, run_id: str | None, after: int, follow: bool) -> AsyncGenerator[JsonObject]:
        """Yield journal events after a sequence in order, each once; follow for ever when asked to."""
        ...

    async def cancel(self, run_id: str) -> JsonObject:
        """Cancel a run and everything it does.

        Raises:
            Conflict: if it has ended.
        """
        ...

    async def fork(self, run_id: str, *, from_step: str, inputs: JsonObject | None) -> JsonObject:
        """Start a new run that keeps the results before a step of an old one."""
        ...

    async def signal(self, run_id: str, name: str, payload: JsonValue) -> JsonObject:
        """Deliver a signal to a run's `listen` step.

        Raises:
            Conflict: if it was sent before, or the run has ended.
        """
        ...

    async def approvals(
        self, *, status: str | None, run_id: str | None, limit: int = 1_000, cursor: str | None = None
    ) -> JsonObject:
        """Return a page of approvals, oldest first: ``items``, ``next_cursor``, and the ``seq`` it was made at."""
        ...

    async def approval(self, approval_id: str) -> JsonObject:
        """Return one approval."""
        ...

    async def approval_webhooks(self) -> JsonObject:
        """Return the webhooks of the settings and what each has not heard yet."""
        ...

    async def preview_approval(self, approval_id: str, wanted: JsonObject) -> JsonObject:
        """Return what a yes would mean, with ``arguments`` or ``set``, ``scope`` and ``match`` as `decide` takes them.

        Raises:
            InvalidInput: if they do not fit.
        """
        ...

    async def decide(self, approval_id: str, decision: JsonObject) -> JsonObject:
        """Answer an approval.

        Args:
            approval_id: which.
            decision: ``approve``, and perhaps ``note``, ``arguments`` (whole) or ``set`` (dotted place -> value),
                ``answer``, ``scope`` (once, run, always), ``match`` (argument -> pattern).

        Raises:
            Conflict: if it is decided otherwise, or by somebody else.
        """
        ...

    async def agents(self) -> JsonObject:
        """Return the agents and the registry's figures."""
        ...

    async def artifacts(self, run_id: str) -> JsonObject:
        """Return what a run kept."""
        ...

    async def artifact_content(self, artifact_id: str) -> bytes:
        """Return an artifact's content."""
        ...

    async def dead_letters(self) -> JsonObject:
        """Return work that was given up."""
        ...

    async def requeue(self, execution_id: str) -> JsonObject:
        """Start given-up work again.

        Raises:
            Conflict: if it is not given up.
        """
        ...


class LocalClient:
    """The client inside this process: operations bound to the owner's context."""

    def __init__(
        self,
        operations: "Operations",
        ctx: Context,
        *,
        door: "DoorOperations | None" = None,
        providers: "ProviderOperations | None" = None,
        tools: "ToolOperations | None" = None,
        cache: "CacheOperations | None" = None,
        policy: "PolicyOperations | None" = None,
        plans: "PlanOperations | None" = None,
        webhooks: "EventWebhooks | None" = None,
        address: str | None = None,
    ) -> None:
        self._rooms = (operations, door, providers, cache, tools, policy, plans, webhooks)
        self._ctx = ctx
        self.address = address

    def __getattr__(self, name: str) -> Any:
        """Return the operation `name` bound to this client's context."""
        if name.startswith("_"):
            raise AttributeError(name)
        operation = next((found for room in self._rooms if (found := getattr(room, name, None))), None)
        if not (inspect.iscoroutinefunction(operation) or inspect.isasyncgenfunction(operation)):
            raise AttributeError(name)
        return functools.partial(operation, self._ctx)


@contextlib.asynccontextmanager
async def connect(
    home: Path | None, *, execute: bool = False, or_follow: bool = False
) -> AsyncIterator[Client]:
    """Open a client on the installation at `home`.

    Args:
        home: the data folder; None finds it.
        execute: whether work shall run in this process when no server does.
        or_follow: with `execute`: be content to look on when another process executes.

    Raises:
        Locked: if `execute` is asked for and another process that serves no address runs on this data.
    """
    from mosaic.app.settings import load_settings

    settings = load_settings(home)
    server = find_server(settings.home)
    async with contextlib.AsyncExitStack() as stack:
        if server is not None:
            yield await _at(stack, settings, server.address)
            return
        try:
            client: Client = await _here(stack, settings, execute=execute)
        except Locked as locked:
            client = await _beside(stack, settings, locked, or_follow=or_follow)
        yield client


async def _here(stack: contextlib.AsyncExitStack, settings: "Settings", *, execute: bool) -> Client:
    from mosaic.app.lifespan import open_application

    application = await stack.enter_async_context(open_application(settings, execute=execute))
    ctx = Context(settings.tenant, settings.project, Actor("user", "owner"))
    return LocalClient(
        application.operations,
        ctx,
        door=application.door_operations,
        providers=application.provider_operations,
        tools=application.tool_operations,
        cache=application.cache_operations,
        policy=application.policy_operations,
        plans=application.plans,
        webhooks=application.event_webhooks,
    )


async def _at(stack: contextlib.AsyncExitStack, settings: "Settings", address: str) -> Client:
    from mosaic.cli.http_client import HttpClient

    client: Client = await stack.enter_async_context(HttpClient.open(address, settings.home))
    return client


async def _beside(
    stack: contextlib.AsyncExitStack, settings: "Settings", locked: Locked, *, or_follow: bool
) -> Client:
    """Return a client for data that another process executes on: over HTTP when it serves, else to look on."""
    if address := locked.data.get("address"):
        return await _at(stack, settings, str(address))
    if or_follow:
        return await _here(stack, settings, execute=False)
    locked.hint = (
        "One process works on this data at a time: wait for that one, end it, or start `mosaic up` instead; "
        "commands beside a server share it."
    )
    raise locked

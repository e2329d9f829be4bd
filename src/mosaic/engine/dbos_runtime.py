"""The only module that touches DBOS: it dispatches executions and owns who runs them.

DBOS keeps queues, priorities, the claim of an execution by one node and its recovery after a crash. It holds
no step results: a recovered execution runs its handler again from the top and every effect answers from the
journal. So DBOS knows one workflow function, whose only argument is an execution id and whose only result is
a short word.

DBOS runs that function on an event loop of its own, in its own thread; the function hands the execution over
to the application's loop and waits. Handlers therefore never share a default thread pool, a context variable
or a stalled loop with DBOS.

Private parts of DBOS used here (each covered by tests/engine/test_dbos_contract.py, because an upgrade may
move them): ``_recover_pending_workflows``, the registry's in-memory queues and their poll interval, the
background event loop, the stop events of the queue threads, the list of active workflows and the worker threads.
"""

# ruff: noqa: SLF001  # the private parts that the docstring lists

import asyncio
import contextvars
import json
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import sqlalchemy
from dbos import DBOS, DBOSConfig, EnqueueOptions, Serializer, SetWorkflowID

from mosaic.engine.schemas import QueueLimits

__all__ = ["DbosRuntime"]

T = TypeVar("T")

_WORKFLOW = "mosaic_execution"
# DBOS gives work only to nodes of the version that wrote it; an upgrade must go on with what is running.
_APPLICATION_VERSION = "mosaic-1"
_QUEUE_POLL_S = 0.1
# Recovered executions come through DBOS' own queue, which polls at 1 s: too slow for "continued in 5 s".
_RECOVERY_POLL_S = 0.25
_PRUNE_BATCH = 500
# What DBOS gets to finish on its side when we stop.
_MOMENT_S = 2.0
_LIVE = frozenset({"PENDING", "ENQUEUED", "DELAYED"})
log = logging.getLogger(__name__)


class _Json(Serializer):
    """JSON instead of pickle: what is in the database must never become code."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=str)

    def deserialize(cls, serialized_data: str) -> Any:  # noqa: N805  # the base class spells it so
        return json.loads(serialized_data)

    def name(self) -> str:
        return "mosaic_json"


class _Expected(logging.Filter):
    """Drops what DBOS warns about and we do on purpose: handing an execution over to the next process."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "Asyncio task cancelled" not in str(record.msg)


class DbosRuntime:
    """Starts, queues, cancels and recovers executions by id.

    Args:
        engine: where DBOS keeps its rows; closed by whoever made it.
        executor_id: who claims work here.
        queues: the queues to serve, by name.
        run: runs one execution on the application's loop; false means it was handed over to another process
            and must stay recoverable.
    """

    def __init__(
        self,
        engine: sqlalchemy.Engine,
        *,
        executor_id: str,
        queues: Mapping[str, QueueLimits],
        run: Callable[[str], Coroutine[Any, Any, bool]],
    ) -> None:
        self._engine = engine
        self._executor_id = executor_id
        self._queues = dict(queues)
        self._run = run
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="engine-dispatch")
        self._context = contextvars.Context()
        self._application: asyncio.AbstractEventLoop | None = None
        self._dbos: Any = None
        self._workflow: Any = None

    async def launch(self) -> None:
        """Start serving queues and recover what this executor id left behind."""
        self._application = asyncio.get_running_loop()
        await self._thread(self._launch)

    def _launch(self) -> None:
        dbos_log = logging.getLogger("dbos")
        if not dbos_log.handlers:  # else DBOS writes to the console past the application's logging
            dbos_log.addHandler(logging.NullHandler())
        if not any(isinstance(known, _Expected) for known in dbos_log.filters):
            dbos_log.addFilter(_Expected())
        sqlite = self._engine.dialect.name == "sqlite"
        config: DBOSConfig = {
            "name": "mosaic",
            "system_database_engine": self._engine,
            "system_database_url": "sqlite:///engine.db" if sqlite else "postgresql://host/engine",
            "application_version": _APPLICATION_VERSION,
            "executor_id": self._executor_id,
            "serializer": _Json(),
            "max_executor_threads": 32,
            # We use none of DBOS' own messages: no LISTEN connection, no triggers.
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": 0.1,
            "log_level": "WARNING",
        }
        self._dbos = DBOS(config=config)
        # Unlimited on purpose: DBOS counts every dispatch, also after an orderly restart; we count crashes.
        self._workflow = DBOS.workflow(name=_WORKFLOW, max_recovery_attempts=None)(self._execution())
        registry = self._dbos._registry
        registry.get_internal_queue()._polling_interval_sec = _RECOVERY_POLL_S
        for name, limits in self._queues.items():
            # In memory, not in DBOS' table: served from the first second and one query less per poll.
            registry._register_internal_queue(
                name,
                global_concurrency=limits.concurrency,
                partition_concurrency=limits.per_tenant_concurrency,
                worker_concurrency=limits.per_node_concurrency,
                polling_interval_sec=_QUEUE_POLL_S,
            )
        DBOS.launch()

    def _execution(self) -> Callable[[str], Coroutine[Any, Any, str]]:
        async def mosaic_execution(execution_id: str) -> str:
            future = _submit(self._application, self._context, self._run(execution_id))
            if await asyncio.wrap_future(future):
                return "done"
            # DBOS writes no outcome for a cancelled task: the execution stays recoverable.
            raise asyncio.CancelledError

        return mosaic_execution

    async def start(self, workflow_id: str, execution_id: str) -> None:
        """Run an execution on this node now. Does nothing when `workflow_id` was started before."""

        async def begin() -> None:
            with SetWorkflowID(workflow_id):
                await DBOS.start_workflow_async(self._workflow, execution_id)

        loop = self._dbos._background_event_loop.target_loop()
        await asyncio.wrap_future(_submit(loop, self._context, begin()))

    async def enqueue(
        self, workflow_id: str, execution_id: str, *, queue: str, priority: int, partition: str
    ) -> None:
        """Put an execution on a queue, for whichever node has room. Does nothing the second time."""
        options: EnqueueOptions = {
            "workflow_name": _WORKFLOW,
            "queue_name": queue,
            "workflow_id": workflow_id,
            "app_version": _APPLICATION_VERSION,
            "priority": max(1, priority),
        }
        if self._queues[queue].per_tenant_concurrency is not None:
            options["queue_partition_key"] = partition
        await self._thread(DBOS.enqueue_workflow_with_options, options, execution_id)

    async def cancel(self, workflow_ids: Sequence[str]) -> None:
        """Take executions off their queues and never recover them again."""
        await self._thread(DBOS.cancel_workflows, list(workflow_ids))

    async def live(self, workflow_ids: Iterable[str]) -> set[str]:
        """Return those of `workflow_ids` that are queued, or claimed by some node."""

        def read() -> set[str]:
            found = DBOS.list_workflows(workflow_ids=list(workflow_ids), load_input=False, load_output=False)
            return {status.workflow_id for status in found if status.status in _LIVE}

        return await self._thread(read)

    def adopt(self, executor_ids: Sequence[str]) -> int:
        """Put what dead executors left running back on a queue; blocks. Returns how many there were.

        Keeps queue, priority and place in DBOS; the same work is never handed out twice, because the row
        must still name the dead executor.
        """
        return len(DBOS._recover_pending_workflows(list(executor_ids)))

    def owners(self) -> set[str]:
        """Return the executors that hold claimed work; blocks."""
        table = self._dbos._sys_db.tables.workflow_status
        statement = sqlalchemy.select(table.c.executor_id).where(table.c.status == "PENDING").distinct()
        with self._dbos._sys_db.engine.begin() as connection:
            return {str(owner) for owner in connection.execute(statement).scalars() if owner}

    async def prune(self, *, older_than_ms: int) -> None:
        """Delete DBOS' rows of work that ended before `older_than_ms` (epoch); ours hold the result."""

        def delete() -> None:
            table = self._dbos._sys_db.tables.workflow_status
            statement = (
                sqlalchemy.select(table.c.workflow_uuid)
                .where(table.c.status.not_in(_LIVE), table.c.updated_at < older_than_ms)
                .limit(_PRUNE_BATCH)
            )
            ids = [""]
            while ids:
                with self._dbos._sys_db.engine.begin() as connection:
                    ids = list(connection.execute(statement).scalars())
                if ids:
                    DBOS.delete_workflows(ids)

        await self._thread(delete)

    def stop_claiming(self) -> None:
        """Claim no more work; what runs goes on."""
        for event in self._dbos.background_thread_stop_events:
            event.set()
        self._dbos._background_jobs_stop_event.set()

    async def settle(self) -> None:
        """Give DBOS a moment to note the end of what has ended, while it still may write."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _MOMENT_S
        while self._dbos._active_workflows_set.activeList() and loop.time() < end:  # noqa: ASYNC110  # DBOS tells nobody
            await asyncio.sleep(0.005)

    async def destroy(self) -> None:
        """Stop every thread. What still runs stays recoverable."""
        if self._dbos is not None:
            await self._thread(self._destroy)
            self._dbos = None
        await asyncio.to_thread(self._threads.shutdown)

    def _destroy(self) -> None:
        pool = self._dbos._executor_field
        DBOS.destroy(destroy_registry=True)
        # DBOS tells its workers to end and does not wait for it.
        end = time.monotonic() + _MOMENT_S
        for worker in tuple(pool._threads) if pool is not None else ():
            worker.join(max(0.0, end - time.monotonic()))

    async def _thread(self, call: Callable[..., T], *arguments: Any) -> T:
        # A context of its own: DBOS must not take the caller for a workflow of its own.
        context = self._context.copy()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: context.run(call, *arguments))


def _submit(
    loop: asyncio.AbstractEventLoop | None, context: contextvars.Context, work: Coroutine[Any, Any, T]
) -> "Future[T]":
    """Run `work` as a task of `loop`, from any thread, under a copy of `context`."""
    if loop is None or loop.is_closed():
        work.close()
        raise RuntimeError("the event loop that runs executions is gone")
    future: Future[T] = Future()
    scope = context.copy()

    def begin() -> None:
        task = loop.create_task(work, context=scope)
        tasks.add(task)
        task.add_done_callback(finish)

    def finish(task: "asyncio.Task[T]") -> None:
        tasks.discard(task)
        if not future.set_running_or_notify_cancel():
            return
        if task.cancelled():
            future.set_exception(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            future.set_exception(error)
        else:
            future.set_result(task.result())

    tasks = _tasks
    loop.call_soon_threadsafe(begin, context=scope)
    return future


_tasks: set["asyncio.Task[Any]"] = set()

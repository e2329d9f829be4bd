"""The suite's tools that take long: each call is a task, kept in memory for as long as the suite runs."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import mcp.types as t
from mcp.shared.exceptions import MCPError

from mosaic.core.errors import NotFound
from mosaic.mcp.exchange import Exchange
from mosaic.mcp.tasks import TASKS, created, task_of

__all__ = ["SuiteTasks"]

CONFIRM = {"type": "object", "properties": {"confirm": {"type": "boolean"}}}
NAME = {"type": "object", "properties": {"name": {"type": "string"}}}


@dataclass
class Job:
    """One task."""

    work: "asyncio.Task[t.CallToolResult] | None" = None
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    questions: dict[str, t.ElicitRequest] = field(default_factory=dict)
    answers: dict[str, "asyncio.Future[dict[str, Any]]"] = field(default_factory=dict)

    async def ask(self, key: str, message: str, schema: dict[str, Any]) -> dict[str, Any]:
        """Park until the client has answered."""
        params = t.ElicitRequestFormParams(message=message, requested_schema=schema)
        self.questions[key] = t.ElicitRequest(params=params)
        self.answers[key] = asyncio.get_running_loop().create_future()
        return await self.answers[key]


Work = Callable[[Job, Mapping[str, Any]], Awaitable[t.CallToolResult]]


def said(words: str, *, is_error: bool = False) -> t.CallToolResult:
    return t.CallToolResult(content=[t.TextContent(text=words)], is_error=is_error)


class SuiteTasks:
    """Makes and keeps them."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self.tools: dict[str, Work] = {
            "slow_compute": self._slow,
            "failing_job": self._failing,
            "protocol_error_job": self._broken,
            "confirm_delete": self._confirm,
            "multi_input": self._multi,
        }

    async def call(self, exchange: Exchange, name: str, arguments: Mapping[str, Any]) -> Any:
        """Begin a task, for a client that takes one."""
        if not exchange.has_extension(TASKS):
            if name == "failing_job":  # takes longer than any call may
                needed = {"requiredCapabilities": {"extensions": {TASKS: {}}}}
                raise MCPError(t.MISSING_REQUIRED_CLIENT_CAPABILITY, "It takes tasks", needed)
            return await self.tools[name](Job(), arguments)
        return self.begin(self.tools[name], arguments)

    def begin(self, work: Work, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Begin a task; return what its client gets."""
        task_id, job = secrets.token_hex(16), Job()

        async def run() -> t.CallToolResult:
            return await work(job, arguments)

        job.work = asyncio.create_task(run())
        self._jobs[task_id] = job
        return created(self.shown(task_id))

    def shown(self, task_id: str) -> dict[str, Any]:
        """Return a task as it stands."""
        job = self._found(task_id)
        work, about = job.work, {"created_at": job.created_at, "changed_at": datetime.now(UTC)}
        assert work is not None
        if work.cancelled():
            return task_of(task_id, "cancelled", **about)
        if work.done() and (error := work.exception()) is not None:
            told = {"code": t.INTERNAL_ERROR, "message": str(error)}
            return task_of(task_id, "failed", **about, error=told)
        if work.done():
            result = work.result().model_dump(mode="json", by_alias=True, exclude_none=True)
            return task_of(task_id, "completed", **about, result=result)
        pending = {
            key: form.model_dump(mode="json", by_alias=True, exclude_none=True)
            for key, form in job.questions.items()
            if not job.answers[key].done()
        }
        if pending:
            return task_of(task_id, "input_required", **about, inputRequests=pending)
        return task_of(task_id, "working", **about)

    def answer(self, task_id: str, responses: Mapping[str, Any]) -> None:
        """Take answers; those to nothing are ignored."""
        job = self._found(task_id)
        for key, given in responses.items():
            if key in job.answers and not job.answers[key].done():
                job.answers[key].set_result(dict(given.get("content") or {}))

    def cancel(self, task_id: str) -> None:
        """Cancel a task; one that has ended stays as it is."""
        work = self._found(task_id).work
        if work is not None:
            work.cancel()

    def close(self) -> None:
        """Cancel all."""
        for job in self._jobs.values():
            if job.work is not None:
                job.work.cancel()

    def _found(self, task_id: str) -> Job:
        if task_id not in self._jobs:
            raise NotFound(f"There is no task {task_id}.")
        return self._jobs[task_id]

    async def _slow(self, _job: Job, arguments: Mapping[str, Any]) -> t.CallToolResult:
        await asyncio.sleep(float(arguments.get("seconds", 0)))
        return said(f"Computed {arguments.get('label', '')}")

    async def _failing(self, _job: Job, _arguments: Mapping[str, Any]) -> t.CallToolResult:
        await asyncio.sleep(1.0)
        return said("It failed.", is_error=True)

    async def _broken(self, _job: Job, _arguments: Mapping[str, Any]) -> t.CallToolResult:
        await asyncio.sleep(0.2)
        raise MCPError(t.INTERNAL_ERROR, "It broke")

    async def _confirm(self, job: Job, arguments: Mapping[str, Any]) -> t.CallToolResult:
        answer = await job.ask("confirm", f"Delete {arguments.get('filename')}?", CONFIRM)
        return said(f"deleted: {answer.get('confirm')}")

    async def _multi(self, job: Job, _arguments: Mapping[str, Any]) -> t.CallToolResult:
        first, second = await asyncio.gather(
            job.ask("first", "Your first name?", NAME), job.ask("second", "Your last name?", NAME)
        )
        return said(f"{first.get('name')} {second.get('name')}")

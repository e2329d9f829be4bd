"""Answers A2A requests, whatever they came by: messages start runs, tasks are runs."""

import asyncio
import functools
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Any

from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.request_handler import RequestHandler, validate_request_params
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse,
    ListTasksRequest,
    ListTasksResponse,
    Message,
    Part,
    Role,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
    TaskArtifactUpdateEvent,
    TaskPushNotificationConfig,
    TaskState,
    TaskStatusUpdateEvent,
)
from a2a.utils.errors import (
    InvalidParamsError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from google.protobuf.json_format import MessageToDict

from mosaic.a2a.answers import decision_of, wanted
from mosaic.a2a.conversations import Conversations
from mosaic.a2a.push import PushConfigs
from mosaic.a2a.skills import Choose, chosen, inputs_of
from mosaic.a2a.tasks import ENDED, context_of, state_of, status_of, task_of
from mosaic.app.operations import Operations
from mosaic.app.outside import Outside
from mosaic.app.task_notices import TaskNotices
from mosaic.core.context import Context
from mosaic.core.errors import Conflict, InvalidInput, NotFound
from mosaic.core.values import JsonObject
from mosaic.runs.definitions import Definitions
from mosaic.tools import ApprovalNeeded

__all__ = ["CALLER", "RunsAsTasks"]

CALLER = "mosaic.ctx"
"""Where a call's state holds the context of whoever calls."""
_KEY = "idempotencyKey"
_MOST_PAGE, _PAGE = 100, 50
_MOST_KEPT_BYTES = 256_000
_STATUSES = {
    TaskState.TASK_STATE_SUBMITTED: "queued",
    TaskState.TASK_STATE_WORKING: "running",
    TaskState.TASK_STATE_INPUT_REQUIRED: "waiting",
    TaskState.TASK_STATE_COMPLETED: "succeeded",
    TaskState.TASK_STATE_FAILED: "failed",
    TaskState.TASK_STATE_CANCELED: "cancelled",
}


class RunsAsTasks(RequestHandler):
    """Tasks of the A2A protocol over runs. Nothing is kept here: any node can answer any request.

    Args:
        operations: what every door can ask for.
        outside: starts runs, through the tool door like any other call from outside.
        definitions: the workflows, which are the skills.
        conversations: what was said.
        notices: tells addresses of tasks.
        card: makes the card for those who may know everything.
        skill: which workflow a message is for that names none.
        wait_s: how long a message waits for its task to end; then the answer says that it is at work.
        choose: finds the workflow that a message is for.
    """

    def __init__(
        self,
        operations: Operations,
        outside: Outside,
        definitions: Definitions,
        conversations: Conversations,
        *,
        notices: TaskNotices,
        card: Any,
        skill: str | None,
        wait_s: float,
        choose: Choose = chosen,
    ) -> None:
        self._operations = operations
        self._outside = outside
        self._definitions = definitions
        self._conversations = conversations
        self._card = card
        self._skill = skill
        self._wait_s = wait_s
        self._choose = choose
        self._push = PushConfigs(notices, functools.partial(self._task, history=0))
        notices.render(self._push.rendered)

    # -- messages -----------------------------------------------------------------------------------------------

    @validate_request_params
    async def on_message_send(self, params: SendMessageRequest, context: ServerCallContext) -> Task | Message:
        """Start a task, or answer one that waits; return it once it has ended or waits for somebody."""
        ctx = _caller(context)
        begun = await self._begin_as_told(ctx, params)
        if isinstance(begun, Message):
            return begun
        if not params.configuration.return_immediately:
            try:
                async with asyncio.timeout(self._wait_s), aclosing(self._followed(ctx, begun)) as states:
                    async for _ in states:
                        pass
            except TimeoutError:
                pass  # it goes on: the answer says that it is at work
        return await self._task(ctx, begun, history=_length(params.configuration))

    @validate_request_params
    async def on_message_send_stream(
        self, params: SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Any]:
        """Start a task, or answer one that waits; tell of it until it has ended or waits for somebody."""
        ctx = _caller(context)
        begun = await self._begin_as_told(ctx, params)
        if isinstance(begun, Message):
            yield begun
            return
        async with aclosing(self._told(ctx, begun)) as events:
            async for event in events:
                yield event

    @validate_request_params
    async def on_subscribe_to_task(
        self, params: SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Any]:
        """Tell of a task that is at work."""
        ctx = _caller(context)
        if (await self._run(ctx, params.id))["status"] in ENDED:
            raise UnsupportedOperationError("The task has ended: there is nothing more to tell.")
        async with aclosing(self._told(ctx, params.id, to_the_end=True)) as events:
            async for event in events:
                yield event

    # -- tasks --------------------------------------------------------------------------------------------------

    @validate_request_params
    async def on_get_task(self, params: GetTaskRequest, context: ServerCallContext) -> Task | None:
        """Return a task."""
        return await self._task(_caller(context), params.id, history=_length(params))

    @validate_request_params
    async def on_list_tasks(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        """Return a page of tasks, newest first."""
        ctx = _caller(context)
        size = params.page_size if params.HasField("page_size") else _PAGE
        if not 1 <= size <= _MOST_PAGE:
            raise InvalidParamsError(f"A page has 1 to {_MOST_PAGE} tasks.")
        wanted = _STATUSES.get(params.status) if params.status else None
        if params.status and wanted is None:
            return ListTasksResponse(page_size=size)
        try:
            page = await self._operations.runs(
                ctx, status=wanted, workflow=None, limit=size, cursor=params.page_token or None
            )
        except InvalidInput as error:
            raise InvalidParamsError(error.message) from error
        tasks = [await self._listed(ctx, run, params) for run in page["items"]]
        shown = [task for task in tasks if task is not None]
        return ListTasksResponse(
            tasks=shown, next_page_token=page["next_cursor"] or "", page_size=size, total_size=len(shown)
        )

    async def _listed(self, ctx: Context, run: JsonObject, params: ListTasksRequest) -> Task | None:
        history = await self._conversations.history(ctx, run["id"])
        context_id = _context(run["id"], history)
        if params.context_id and params.context_id != context_id:
            return None
        if params.HasField("status_timestamp_after"):
            at = datetime.fromisoformat(run["finished_at"] or run["started_at"] or run["created_at"])
            if at.timestamp() < params.status_timestamp_after.ToDatetime().timestamp():
                return None
        kept = await self._kept(ctx, run["id"]) if params.include_artifacts else ()
        length = _length(params)
        return task_of(run, context_id=context_id, history=_last(history, length), kept=kept)

    @validate_request_params
    async def on_cancel_task(self, params: CancelTaskRequest, context: ServerCallContext) -> Task | None:
        """Cancel a task."""
        ctx = _caller(context)
        await self._run(ctx, params.id)
        try:
            await self._operations.cancel(ctx, params.id)
        except Conflict as error:
            raise TaskNotCancelableError(error.message) from error
        return await self._task(ctx, params.id, history=None)

    # -- push notifications -------------------------------------------------------------------------------------

    @validate_request_params
    async def on_create_task_push_notification_config(
        self, params: TaskPushNotificationConfig, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        """Have an address told of a task; one with the same id takes the other's place."""
        ctx = _caller(context)
        await self._run(ctx, params.task_id)
        return await self._push.add(ctx, params.task_id, params)

    @validate_request_params
    async def on_get_task_push_notification_config(
        self, params: GetTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        """Return which address is told."""
        ctx = _caller(context)
        await self._run(ctx, params.task_id)
        return await self._push.get(ctx, params.task_id, params.id)

    @validate_request_params
    async def on_list_task_push_notification_configs(
        self, params: ListTaskPushNotificationConfigsRequest, context: ServerCallContext
    ) -> ListTaskPushNotificationConfigsResponse:
        """Return which addresses are told."""
        ctx = _caller(context)
        await self._run(ctx, params.task_id)
        return await self._push.all(ctx, params.task_id)

    @validate_request_params
    async def on_delete_task_push_notification_config(
        self, params: DeleteTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> None:
        """Tell an address no more."""
        ctx = _caller(context)
        await self._run(ctx, params.task_id)
        await self._push.drop(ctx, params.task_id, params.id)

    # -- who we are ---------------------------------------------------------------------------------------------

    async def on_get_extended_agent_card(
        self,
        params: GetExtendedAgentCardRequest,  # noqa: ARG002  # as the protocol calls it
        context: ServerCallContext,
    ) -> AgentCard:
        """Return the card with every skill of the caller's tenant."""
        card: AgentCard = self._card(await self._definitions.newest(_caller(context)))
        return card

    # -- inside -------------------------------------------------------------------------------------------------

    async def _begin_as_told(self, ctx: Context, params: SendMessageRequest) -> str | Message:
        """Begin, as `_begin`, and tell the address that the message brings along."""
        config = None
        if params.configuration.HasField("task_push_notification_config"):
            config = params.configuration.task_push_notification_config
            await self._push.check(config)  # before anything is started for it
        begun = await self._begin(ctx, params.message)
        if config is not None and isinstance(begun, str):
            await self._push.add(ctx, begun, config)
        return begun

    async def _begin(self, ctx: Context, message: Message) -> str | Message:
        """Return the run that a message started or answered; or a message, when a person must allow it first."""
        if message.task_id:
            await self._answer(ctx, message)
            return message.task_id
        definition = self._choose(message, await self._definitions.newest(ctx), self._skill)
        inputs = inputs_of(message, definition)
        try:
            result = await self._outside.calls.call(
                ctx,
                tool=f"workflow.{definition.name}",
                arguments=inputs,
                toolbox=await self._outside.toolbox(ctx),
                policy=await self._outside.policy(ctx),
                client="a2a",
                idempotency_key=_key(message),
            )
        except ApprovalNeeded as asked:
            return _reply(
                message, f"{asked.message} Send the message again, with the same id, once that is done."
            )
        if result.is_error or not isinstance(result.content, dict):
            return _reply(message, str(result.content)[:2_000])
        run_id = str(result.content["run"])
        await self._conversations.keep(ctx, run_id, message)
        return run_id

    async def _answer(self, ctx: Context, message: Message) -> None:
        """Answer what a task waits for."""
        run = await self._run(ctx, message.task_id)
        if message.context_id and message.context_id != await self._context_id(ctx, run["id"]):
            raise InvalidParamsError("The task belongs to another context.")
        if run["status"] in ENDED:
            raise UnsupportedOperationError("The task has ended: send a message without it to start another.")
        if not run["approvals"]:
            raise UnsupportedOperationError("The task waits for nobody now.")
        approval = await self._operations.approval(ctx, wanted(message, run["approvals"]))
        try:
            await self._operations.decide(ctx, approval["id"], decision_of(message, approval))
        except InvalidInput as error:
            raise InvalidParamsError(error.message) from error
        await self._conversations.keep(ctx, run["id"], message)

    async def _run(self, ctx: Context, run_id: str) -> JsonObject:
        try:
            return await self._operations.run(ctx, run_id)
        except NotFound as error:
            raise TaskNotFoundError(f"There is no task {run_id[:100]!r}.") from error

    async def _context_id(self, ctx: Context, run_id: str) -> str:
        return _context(run_id, await self._conversations.history(ctx, run_id))

    async def _task(self, ctx: Context, run_id: str, *, history: int | None) -> Task:
        run = await self._run(ctx, run_id)
        said = await self._conversations.history(ctx, run_id)
        kept = await self._kept(ctx, run_id) if run["status"] in ENDED else ()
        return task_of(run, context_id=_context(run_id, said), history=_last(said, history), kept=kept)

    async def _kept(self, ctx: Context, run_id: str) -> list[tuple[JsonObject, bytes]]:
        found = (await self._operations.artifacts(ctx, run_id))["items"]
        return [
            await self._operations.artifact(ctx, item["id"])
            for item in found
            if item["size_bytes"] <= _MOST_KEPT_BYTES
        ]

    async def _followed(
        self, ctx: Context, run_id: str, *, to_the_end: bool = False
    ) -> AsyncGenerator[JsonObject]:
        """Yield a run whenever its state is another one, until it has ended; or until it waits for somebody."""
        last: Any = None
        run = await self._run(ctx, run_id)
        async with aclosing(self._operations.events(ctx, run_id=run_id, after=0, follow=True)) as events:
            async for event in events:
                if not event["type"].startswith(("run.", "approval.", "step.")):
                    continue
                run = await self._run(ctx, run_id)
                if (state := state_of(run)) != last:
                    last = state
                    yield run
                if run["status"] in ENDED or (run["approvals"] and not to_the_end):
                    return

    async def _told(self, ctx: Context, run_id: str, *, to_the_end: bool = False) -> AsyncGenerator[Any]:
        """Yield the task, then what changes of it, then what came out of it."""
        task = await self._task(ctx, run_id, history=None)
        yield task
        if task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED and not to_the_end:
            return
        last = task.status.state
        async with aclosing(self._followed(ctx, run_id, to_the_end=to_the_end)) as states:
            async for run in states:
                if run["status"] in ENDED:
                    ended = await self._task(ctx, run_id, history=None)
                    for artifact in ended.artifacts:
                        yield TaskArtifactUpdateEvent(
                            task_id=run_id, context_id=task.context_id, artifact=artifact, last_chunk=True
                        )
                if (state := state_of(run)) != last:
                    last = state
                    yield TaskStatusUpdateEvent(
                        task_id=run_id, context_id=task.context_id, status=status_of(run, task.context_id)
                    )


def _key(message: Message) -> str | None:
    """Return what makes a message that is sent again the same one. Its id does not: clients use ids again."""
    key = MessageToDict(message.metadata).get(_KEY)
    return f"a2a/{key[:200]}" if isinstance(key, str) and key else None


def _caller(context: ServerCallContext) -> Context:
    ctx = context.state.get(CALLER)
    if not isinstance(ctx, Context):
        raise TypeError("a request came in without a caller")
    return ctx


def _context(run_id: str, history: list[Message]) -> str:
    return next((message.context_id for message in history if message.context_id), context_of(run_id))


def _length(params: Any) -> int | None:
    return params.history_length if params.HasField("history_length") else None


def _last(history: list[Message], length: int | None) -> list[Message]:
    if length is None:
        return history
    return history[-length:] if length > 0 else []


def _reply(message: Message, text: str) -> Message:
    return Message(
        message_id=f"{message.message_id}/answer", context_id=message.context_id, role=Role.ROLE_AGENT,
        parts=[Part(text=text)],
    )  # fmt: skip

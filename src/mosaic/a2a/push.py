"""Push notifications of tasks: the protocol's configurations over the notices of runs, and what they say."""

import json
from collections.abc import Awaitable, Callable

from a2a.types import (
    AuthenticationInfo,
    ListTaskPushNotificationConfigsResponse,
    StreamResponse,
    Task,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a.utils.errors import InvalidParamsError, TaskNotFoundError
from google.protobuf.json_format import MessageToDict

from mosaic.app.task_notices import Notice, Rendered, TaskNotices
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, LimitExceeded, NotFound, PolicyDenied

__all__ = ["PushConfigs"]

_MEDIA_TYPE = "application/a2a+json"


class PushConfigs:
    """What clients want to be told, by task.

    Args:
        notices: keeps and tells it.
        task: returns a task as it is now.
    """

    def __init__(self, notices: TaskNotices, task: Callable[[Context, str], Awaitable[Task]]) -> None:
        self._notices = notices
        self._task = task

    async def rendered(self, ctx: Context, run_id: str) -> Rendered:
        """Return what is sent of a task: itself, as it is now."""
        task = await self._task(ctx, run_id)
        shown = MessageToDict(StreamResponse(task=task))
        return Rendered(TaskState.Name(task.status.state), json.dumps(shown).encode(), _MEDIA_TYPE)

    async def check(self, config: TaskPushNotificationConfig) -> None:
        """Check a configuration before a task is started for it.

        Raises:
            InvalidParamsError: if it cannot be used.
        """
        try:
            await self._notices.check(
                _notice(config), token=config.token, credentials=config.authentication.credentials
            )
        except (InvalidInput, PolicyDenied) as error:
            raise InvalidParamsError(error.message) from error

    async def add(
        self, ctx: Context, task_id: str, config: TaskPushNotificationConfig
    ) -> TaskPushNotificationConfig:
        """Keep a configuration and return it without its secrets.

        Raises:
            InvalidParamsError: if it cannot be used, or the task has too many.
        """
        try:
            kept = await self._notices.add(
                ctx,
                task_id,
                _notice(config),
                token=config.token,
                credentials=config.authentication.credentials,
            )
        except (InvalidInput, PolicyDenied, LimitExceeded) as error:
            raise InvalidParamsError(error.message) from error
        return _shown(task_id, kept)

    async def get(self, ctx: Context, task_id: str, config_id: str) -> TaskPushNotificationConfig:
        """Return one configuration without its secrets.

        Raises:
            TaskNotFoundError: if the task has none of that id.
        """
        try:
            return _shown(task_id, await self._notices.get(ctx, task_id, config_id))
        except NotFound as error:
            raise TaskNotFoundError(error.message) from error

    async def all(self, ctx: Context, task_id: str) -> ListTaskPushNotificationConfigsResponse:
        """Return all configurations of a task without their secrets; there are few, so they are one page."""
        found = await self._notices.all(ctx, task_id)
        return ListTaskPushNotificationConfigsResponse(configs=[_shown(task_id, one) for one in found])

    async def drop(self, ctx: Context, task_id: str, config_id: str) -> None:
        """Forget a configuration; nothing happens when there is none of that id."""
        await self._notices.drop(ctx, task_id, config_id)


def _notice(config: TaskPushNotificationConfig) -> Notice:
    return Notice(config.id, config.url, config.authentication.scheme)


def _shown(task_id: str, notice: Notice) -> TaskPushNotificationConfig:
    shown = TaskPushNotificationConfig(id=notice.id, task_id=task_id, url=notice.url)
    if notice.scheme:
        shown.authentication.CopyFrom(AuthenticationInfo(scheme=notice.scheme))
    return shown

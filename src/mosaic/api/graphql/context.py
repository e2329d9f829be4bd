"""What one request has: who asks, the rooms, and loaders that ask for many things at once."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import strawberry
from strawberry.dataloader import DataLoader

from mosaic.api.feed import Feed, Feeds
from mosaic.app.build import Application
from mosaic.app.comment_operations import CommentOperations
from mosaic.collaboration import SubjectKind
from mosaic.core.context import Context
from mosaic.core.values import JsonObject

__all__ = ["COMMENTS_SHOWN", "Asked", "Info"]

_MOST_AT_ONCE = 200
COMMENTS_SHOWN = 20
"""How many comments a thing shows; `comments` has pages of all of them."""


class Asked:
    """One request, or one operation of a socket.

    Attributes:
        app: the installation.
        ctx: who asks; every call of an operation is scoped by it.
        comments: comments and presence.
    """

    def __init__(
        self,
        app: Application,
        ctx: Context,
        *,
        comments: CommentOperations,
        feeds: Feeds,
        remembers: bool = True,
    ) -> None:
        """Begin to answer.

        Args:
            app: the installation.
            ctx: who asks.
            comments: comments and presence.
            feeds: the journals' newest events.
            remembers: what was loaded once is not loaded again; not for what goes on, whose answers would grow old.
        """
        self.app = app
        self.ctx = ctx
        self.comments = comments
        self._feeds = feeds
        self._remembers = remembers
        self.runs = self._loader(self._runs)
        self.artifacts = self._loader(self._artifacts)
        self.open_approvals = self._loader(self._open_approvals)
        self.viewers = self._loader(self._viewers)
        self._comments_on: dict[SubjectKind, DataLoader[str, Any]] = {}

    @property
    def feed(self) -> Feed:
        """The journal of the tenant, as it grows."""
        return self._feeds.of(self.ctx)

    async def run(self, run_id: str | None) -> JsonObject | None:
        """Return a run, or None where there is none (any more)."""
        return None if run_id is None else await self.runs.load(run_id)

    def comments_on(self, kind: SubjectKind) -> DataLoader[str, Any]:
        """Return what loads the newest comments on things of a kind."""

        async def load(ids: Sequence[str]) -> list[list[JsonObject]]:
            found = await self.comments.newest_comments(self.ctx, kind, ids, each=COMMENTS_SHOWN)
            return [found.get(one, []) for one in ids]

        if kind not in self._comments_on:
            self._comments_on[kind] = self._loader(load)
        return self._comments_on[kind]

    def _loader(self, load: Callable[[Sequence[str]], Awaitable[list[Any]]]) -> DataLoader[str, Any]:
        return DataLoader(load_fn=load, max_batch_size=_MOST_AT_ONCE, cache=self._remembers)

    async def _runs(self, ids: Sequence[str]) -> list[JsonObject | None]:
        found = await self.app.operations.runs_by_id(self.ctx, ids)
        return [found.get(one) for one in ids]

    async def _artifacts(self, ids: Sequence[str]) -> list[list[JsonObject]]:
        found = await self.app.operations.artifacts_by_run(self.ctx, ids)
        return [found[one] for one in ids]

    async def _viewers(self, ids: Sequence[str]) -> list[list[JsonObject]]:
        found = await self.comments.viewers_by_id(self.ctx, ids)
        return [found[one] for one in ids]

    async def _open_approvals(self, run_ids: Sequence[str]) -> list[list[JsonObject]]:
        """Return the open approvals of runs: one page for all of them."""
        only = run_ids[0] if len(run_ids) == 1 else None
        shown = await self.app.operations.approvals(self.ctx, status="pending", run_id=only)
        return [[row for row in shown["items"] if row["run_id"] == one] for one in run_ids]


Info = strawberry.Info[Asked, None]
"""What a resolver gets beside its arguments."""

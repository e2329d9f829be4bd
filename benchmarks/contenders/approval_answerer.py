"""A process that answers approvals at random, and writes down each answer that was taken."""

import asyncio
import json
import os
import random
from typing import Any

from mosaic.app.lifespan import open_application
from mosaic.app.settings import Settings
from mosaic.core.context import Actor, Context
from mosaic.core.errors import Conflict, MosaicError

__all__ = ["run_answerer"]

_HANDFUL = 20


def run_answerer(order: dict[str, Any]) -> None:
    """Answer until nothing is pending.

    Args:
        order: the ``settings`` of the installation, the ``name`` to answer as, the ``log`` of answers, seconds to
            ``pause`` between two, and a ``seed``.
    """
    random.seed(order["seed"])
    asyncio.run(_answer(order))


async def _answer(order: dict[str, Any]) -> None:
    settings = Settings.model_validate(order["settings"])
    ctx = Context(settings.tenant, settings.project, Actor("user", order["name"]))
    log = os.open(order["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def note(**words: Any) -> None:
        os.write(log, json.dumps({"by": str(ctx.actor), **words}).encode() + b"\n")

    async with open_application(settings, execute=False) as application:
        approvals = application.approvals
        while True:
            try:
                pending = await approvals.list(ctx, status="pending")
            except MosaicError as error:  # the database was busy; it is asked again
                note(trouble=f"{error.code}: {error.message}")
                continue
            if not pending:
                break
            # Others take from the same heap: some are answered by two at once, and one of them is refused.
            for approval in random.sample(pending, min(_HANDFUL, len(pending))):
                approve = random.random() < 0.5
                try:
                    decided = await approvals.decide(ctx, approval.id, approve=approve, note="at random")
                except Conflict:
                    note(approval=approval.id, approve=approve, taken=False)
                except MosaicError as error:
                    note(approval=approval.id, trouble=f"{error.code}: {error.message}")
                else:
                    note(approval=approval.id, approve=approve, taken=True, status=decided.status.value)
                await asyncio.sleep(random.uniform(0, 2 * order["pause"]))
    os.close(log)

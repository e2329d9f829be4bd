"""What can be done: the verbs of REST on the same operations."""

from typing import Any

import strawberry

from mosaic.api.graphql import nouns
from mosaic.api.graphql.context import Info
from mosaic.api.graphql.scalars import Json
from mosaic.app.board_workflows import start_workflow
from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject

__all__ = ["Mutation"]


@strawberry.input(description="What is commented on.")
class SubjectInput:
    """What is commented on."""

    kind: str
    id: strawberry.ID
    plan_id: strawberry.ID | None = None


@strawberry.type(description="A signal that was delivered.")
class SignalSent:
    """A signal that was delivered."""

    run_id: strawberry.ID
    signal: str


def _object(value: Any, name: str) -> JsonObject:
    """Return an argument that must be an object; absent is empty.

    Raises:
        InvalidInput: if it is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(f"`{name}` must be an object.")
    return value


async def start_run(
    info: Info,
    workflow: str | None = None,
    bundle: Json | None = None,
    inputs: Json | None = None,
    options: Json | None = None,
) -> Any:
    app, ctx = info.context.app, info.context.ctx
    given, chosen = _object(inputs, "inputs"), _object(options, "options")
    if (workflow is None) == (bundle is None):
        raise InvalidInput(
            "A run needs a workflow.", hint="Give `workflow`, its name, or a `bundle`, not both."
        )
    if workflow is not None:
        return await start_workflow(app, ctx, workflow, inputs=given, options=chosen)
    wanted: JsonObject = {"bundle": _object(bundle, "bundle"), "inputs": given, "options": chosen}
    return await app.operations.start_run(ctx, wanted)


async def cancel_run(info: Info, id: strawberry.ID) -> Any:  # noqa: A002  # the name in the schema
    return await info.context.app.operations.cancel(info.context.ctx, str(id))


async def fork_run(info: Info, id: strawberry.ID, from_step: str, inputs: Json | None = None) -> Any:  # noqa: A002
    return await info.context.app.operations.fork(
        info.context.ctx,
        str(id),
        from_step=from_step,
        inputs=None if inputs is None else _object(inputs, "inputs"),
    )


async def signal_run(info: Info, id: strawberry.ID, name: str, payload: Json | None = None) -> Any:  # noqa: A002
    shown = await info.context.app.operations.signal(
        info.context.ctx, str(id), name, _object(payload, "payload")
    )
    return SignalSent(run_id=strawberry.ID(shown["run_id"]), signal=shown["signal"])


async def approve(
    info: Info,
    id: strawberry.ID,  # noqa: A002
    note: str | None = None,
    arguments: Json | None = None,
    set: Json | None = None,  # noqa: A002
    answer: Json | None = None,
    scope: str = "once",
    match: Json | None = None,
) -> Any:
    decision: JsonObject = {
        "approve": True,
        "note": note,
        "arguments": arguments,
        "set": set,
        "answer": answer,
        "scope": scope,
        "match": match,
    }
    return await info.context.app.operations.decide(info.context.ctx, str(id), decision)


async def reject(info: Info, id: strawberry.ID, note: str | None = None) -> Any:  # noqa: A002
    decision: JsonObject = {"approve": False, "note": note}
    return await info.context.app.operations.decide(info.context.ctx, str(id), decision)


async def change_plan(
    info: Info,
    id: strawberry.ID,  # noqa: A002
    operations: list[Json],
    base_version: int | None = None,
    note: str = "",
    dry_run: bool = False,
) -> Any:
    wanted: JsonObject = {"operations": operations, "base_version": base_version, "note": note}
    return await info.context.app.plans.change_plan(info.context.ctx, str(id), wanted, dry_run=dry_run)


async def undo_plan_change(
    info: Info,
    id: strawberry.ID,  # noqa: A002
    change: strawberry.ID,
    base_version: int | None = None,
    note: str = "",
    dry_run: bool = False,
) -> Any:
    wanted: JsonObject = {"base_version": base_version, "note": note}
    return await info.context.app.plans.undo_change(
        info.context.ctx, str(id), str(change), wanted, dry_run=dry_run
    )


async def write_comment(
    info: Info, subject: SubjectInput, body: str, reply_to: strawberry.ID | None = None
) -> Any:
    about: JsonObject = {"kind": subject.kind, "id": str(subject.id), "plan_id": subject.plan_id}
    wanted: JsonObject = {"subject": about, "body": body, "reply_to": reply_to}
    return await info.context.comments.add_comment(info.context.ctx, wanted)


async def edit_comment(info: Info, id: strawberry.ID, body: str, base_revision: int | None = None) -> Any:  # noqa: A002
    return await info.context.comments.edit_comment(
        info.context.ctx, str(id), {"body": body}, base_revision=base_revision
    )


async def delete_comment(info: Info, id: strawberry.ID) -> Any:  # noqa: A002
    return await info.context.comments.delete_comment(info.context.ctx, str(id))


def _verb(resolver: Any, kind: Any, description: str) -> Any:
    return strawberry.mutation(resolver=resolver, graphql_type=kind, description=description)


@strawberry.type(description="What can be done.")
class Mutation:
    """What can be done."""

    start_run: Any = _verb(
        start_run, nouns.Run, "Start a workflow by its name, or a bundle; one start for one `options.run_id`."
    )
    cancel_run: Any = _verb(cancel_run, nouns.Run, "Stop a run and everything it does.")
    fork_run: Any = _verb(fork_run, nouns.Run, "Start a new run that keeps every result before a step.")
    signal_run: Any = _verb(signal_run, SignalSent, "Deliver a signal to a run.")
    approve: Any = _verb(approve, nouns.Approval, "Say yes.")
    reject: Any = _verb(reject, nouns.Approval, "Say no.")
    change_plan: Any = _verb(change_plan, nouns.PlanChange, "Change a plan, or show what that would mean.")
    undo_plan_change: Any = _verb(undo_plan_change, nouns.PlanChange, "Take a change of a plan back.")
    write_comment: Any = _verb(write_comment, nouns.Comment, "Say something.")
    edit_comment: Any = _verb(edit_comment, nouns.Comment, "Replace what you said.")
    delete_comment: Any = _verb(delete_comment, nouns.Comment, "Remove what you said.")

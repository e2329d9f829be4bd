"""Python functions in a file beside a workflow: called in a process of their own, never in ours."""

import json
import sys
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from mosaic.core.errors import (
    ContractViolation,
    InvalidDefinition,
    MosaicError,
    TimedOut,
    ToolFailed,
    error_from_json,
)
from mosaic.core.values import JsonObject
from mosaic.engine import Safety
from mosaic.tools.declarations import ToolDeclaration
from mosaic.tools.interfaces import BaseTool, Invocation
from mosaic.tools.processes import Finished, OutputLimits
from mosaic.tools.sandbox import Job, Sandboxes
from mosaic.tools.schemas import RiskClass, ToolEffect, ToolResult, ToolSpec
from mosaic.tools.toolbox import NarrowedTool
from mosaic.tools.validation import check_schema, safe_schema

__all__ = ["FileFunctionTool", "open_file_function"]

_HOST = Path(__file__).with_name("function_host.py")
_ANSWER_BYTES = 8_000_000
_DESCRIBE_S = 30.0


class FileFunctionTool(BaseTool):
    """A function in a file."""

    def __init__(self, spec: ToolSpec, *, source: str, file: str, function: str) -> None:
        super().__init__(spec)
        self._order: JsonObject = {"source": source, "file": file, "function": function}

    async def call(self, invocation: Invocation, arguments: JsonObject) -> ToolResult:
        """Call the function in a new process, confined to the worktree.

        Raises:
            ToolFailed: if it raises or its process dies.
            ContractViolation: if it answers no JSON, or too much.
        """
        about = {
            "tenant": invocation.ctx.tenant,
            "project": invocation.ctx.project,
            "actor": str(invocation.ctx.actor),
            "run_id": invocation.run_id,
            "path": invocation.path,
            "agent": invocation.agent,
            "idempotency_key": invocation.idempotency_key,
            "timeout_s": invocation.timeout_s,
        }
        order = {**self._order, "mode": "call", "arguments": arguments, "invocation": about}
        if invocation.workspace is not None and invocation.scratch is not None:
            reply = await _ask(
                order, invocation.workspace, invocation.scratch, invocation.sandboxes, invocation
            )
        else:
            with tempfile.TemporaryDirectory(prefix="mosaic-tool-") as made:
                reply = await _ask(order, None, Path(made), invocation.sandboxes, invocation)
        result = reply.get("result")
        if not isinstance(result, Mapping):
            raise ContractViolation(f"{self.spec.name} answered nonsense.")
        return ToolResult.from_json(result)


async def open_file_function(
    declaration: ToolDeclaration, sandboxes: Sandboxes | None = None
) -> NarrowedTool:
    """Return the tool that a declaration with a `source` describes; the file is run once to describe it.

    Args:
        declaration: says which function of which file.
        sandboxes: where it runs.

    Raises:
        InvalidDefinition: if the file cannot be run, has no such function, or it cannot be a tool.
    """
    file, function = declaration.file or "tools.py", declaration.function or declaration.name
    try:
        source = (declaration.source or b"").decode()
        spec = await _describe(source, file, function, sandboxes or Sandboxes())
    except UnicodeDecodeError:
        raise InvalidDefinition(f"{file} is not UTF-8 text.") from None
    except MosaicError as error:
        raise InvalidDefinition(f"{declaration.name}: {error.message}", hint=error.hint) from error
    tool = FileFunctionTool(spec, source=source, file=file, function=function)
    return NarrowedTool(tool, declaration, may_lower=True)


_described: dict[tuple[str, str, str], ToolSpec] = {}


async def _describe(source: str, file: str, function: str, sandboxes: Sandboxes) -> ToolSpec:
    key = (source, file, function)
    if key not in _described:
        order = {"source": source, "file": file, "function": function, "mode": "describe"}
        with tempfile.TemporaryDirectory(prefix="mosaic-tool-") as made:
            reply = await _ask(order, None, Path(made), sandboxes)
        if len(_described) > 256:
            _described.clear()
        _described[key] = _spec(reply.get("spec"), file, function)
    return _described[key]


def _spec(shown: Any, file: str, function: str) -> ToolSpec:
    """Return the spec that the file's process told; nothing of it is trusted to have a form."""
    try:
        schema, output = safe_schema(dict(shown["input_schema"])), shown.get("output_schema")
        output = safe_schema(dict(output)) if output is not None else None
        for described in (schema, output or {}):
            check_schema(described, what=function)
        return ToolSpec(
            name=str(shown["name"]),
            description=str(shown["description"])[:4_000],
            input_schema=schema,
            output_schema=output,
            risk=RiskClass(shown["risk"]),
            effects=frozenset({*(ToolEffect(effect) for effect in shown["effects"]), ToolEffect.EXEC}),
            timeout_s=float(shown["timeout_s"]),
            safety=Safety(shown["safety"]),
            retries=bool(shown["retries"]),
            source=f"file:{file}:{function}",
            original=f"own:{shown['name']}",
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ContractViolation(f"{file} describes {function} in no known way: {error}") from error


async def _ask(
    order: JsonObject,
    workspace: Path | None,
    scratch: Path,
    sandboxes: Sandboxes,
    invocation: Invocation | None = None,
) -> JsonObject:
    timeout_s = invocation.timeout_s if invocation is not None else _DESCRIBE_S
    job = Job(
        (sys.executable, "-I", str(_HOST)),
        scratch,
        workspace,
        # Describing runs the whole file, and nobody has approved anything yet: then it has no network.
        network=invocation is not None and invocation.commands_have_network,
        timeout_s=timeout_s,
        stdin=json.dumps(order).encode() + b"\n",
        output=OutputLimits(head_bytes=_ANSWER_BYTES, tail_bytes=0, spool_bytes=0),
    )
    if invocation is not None:
        job = replace(job, progress=invocation.progress)
    async with nullcontext() if invocation is None else invocation.doors() as doors:
        done = await sandboxes.run(replace(job, doors=doors))
    if done.timed_out:
        raise TimedOut(f"{order['function']} took longer than {timeout_s:g} s.", tool=order["function"])
    return _answer(order, done)


def _answer(order: JsonObject, done: Finished) -> JsonObject:
    if done.stdout.dropped_bytes:
        raise ContractViolation(f"{order['function']} answered more than {_ANSWER_BYTES} bytes.")
    try:
        reply = json.loads(done.stdout.raw, parse_constant=_refuse)
    except ValueError as error:
        how = f"was ended by {done.signal}" if done.signal else f"ended with {done.exit_code}"
        said = done.stderr.text.strip()[-500:]
        raise ToolFailed(
            f"The process of {order['function']} {how} without an answer. {error if done.stdout.raw else said}"
        ) from error
    if not isinstance(reply, dict):
        raise ContractViolation(f"{order['function']} answered nonsense.")
    if "error" in reply and isinstance(reply["error"], dict):
        raise error_from_json(reply["error"])
    return reply


def _refuse(constant: str) -> None:
    raise ContractViolation(f"The answer holds the number {constant}, which JSON does not have.")

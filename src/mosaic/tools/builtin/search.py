"""Searching files: a pattern that never ends costs its time limit, nothing more."""

import json
import re
import sys
from pathlib import Path
from typing import Annotated

from pydantic import Field

from mosaic.core.errors import ContractViolation, InvalidInput, TimedOut
from mosaic.core.values import JsonObject
from mosaic.engine import Safety
from mosaic.tools.builtin.files import confined
from mosaic.tools.functions import tool
from mosaic.tools.interfaces import Invocation
from mosaic.tools.processes import OutputLimits, clean_environment, confined_to, run_command
from mosaic.tools.schemas import RiskClass, ToolEffect, ToolResult

__all__ = ["search_files"]

_WORKER = Path(__file__).with_name("search_worker.py")
_SEARCH_S = 15.0
_ANSWER_BYTES = 2_000_000


@tool(
    name="files.search",
    risk=RiskClass.READ_ONLY,
    effects=(ToolEffect.READ,),
    safety=Safety.REPEATABLE,
    retries=False,
)
async def search_files(
    invocation: Invocation,
    pattern: Annotated[
        str, Field(min_length=1, max_length=1_000, description="A Python regular expression.")
    ],
    path: Annotated[str, Field(description="A directory or file to search in.")] = ".",
    glob: Annotated[str | None, Field(max_length=300, description="Only files like **/*.py.")] = None,
    literal: Annotated[bool, Field(description="Take the pattern as plain text.")] = False,
    ignore_case: bool = False,
    limit: Annotated[int, Field(ge=1, le=1_000)] = 200,
) -> ToolResult:
    """Search the text files of the worktree line by line; returns path, line number and line of each match."""
    with confined(invocation).parent(
        path
    ):  # checks the path; the worker walks it again without following links
        pass
    order: JsonObject = {
        "root": str(invocation.workspace),
        "start": [part for part in Path(path).parts if part != "."],
        "pattern": re.escape(pattern) if literal else pattern,
        "glob": glob_regex(glob) if glob else None,
        "ignore_case": ignore_case,
        "limit": limit,
    }
    assert invocation.workspace is not None  # noqa: S101  # confined() has checked it
    assert invocation.scratch is not None  # noqa: S101
    done = await run_command(
        (sys.executable, "-I", "-S", str(_WORKER)),
        cwd=invocation.workspace,
        environment=clean_environment(invocation.scratch),
        timeout_s=min(_SEARCH_S, invocation.timeout_s),
        confinement=confined_to(network=False),
        stdin=json.dumps(order).encode() + b"\n",
        limits=OutputLimits(head_bytes=_ANSWER_BYTES, tail_bytes=0, spool_bytes=0),
    )
    if done.timed_out:
        raise TimedOut(
            f"The search took longer than {min(_SEARCH_S, invocation.timeout_s):g} s.",
            hint="Simplify the pattern (nested repetitions are slow), or search fewer files.",
        )
    if done.exit_code != 0 or done.stdout.dropped_bytes:
        last = done.stderr.text.strip().splitlines()[-1:] or ["its answer is too long"]
        raise ContractViolation(f"The search failed: {last[0][:300]}", hint="Lower the limit.")
    answer = json.loads(done.stdout.raw)
    if answer.get("error") == "pattern":
        raise InvalidInput(
            f"The pattern is no regular expression: {answer['message']}",
            hint="Set literal to search for plain text.",
        )
    if "error" in answer:
        raise InvalidInput(f"{path} cannot be searched: {answer['message']}.", hint="Links are not followed.")
    return ToolResult(answer, truncated=bool(answer["more"]))


def glob_regex(glob: str) -> str:
    """Return a glob over whole paths as a regular expression without nested repetition."""
    made, rest = "", glob.removeprefix("./")
    while rest:
        if rest.startswith("**/"):
            made, rest = f"{made}(?:.*/)?", rest[3:]
        elif rest.startswith("**"):
            made, rest = f"{made}.*", rest[2:]
        elif rest[0] == "*":
            made, rest = f"{made}[^/]*", rest[1:]
        elif rest[0] == "?":
            made, rest = f"{made}[^/]", rest[1:]
        else:
            made, rest = made + re.escape(rest[0]), rest[1:]
    return made

"""Short Python for computing, in an interpreter that reaches nothing."""

from typing import Annotated

from pydantic import Field

from mosaic.core.values import JsonObject
from mosaic.engine import Safety
from mosaic.tools.functions import tool
from mosaic.tools.interfaces import Invocation
from mosaic.tools.sandbox.monty import MontyInterpreter
from mosaic.tools.schemas import RiskClass, ToolResult

__all__ = ["run_python"]

_MEMORY_BYTES = 64_000_000
_TIMEOUT_S = 10.0


@tool(
    name="python.run",
    risk=RiskClass.READ_ONLY,
    safety=Safety.REPEATABLE,
    timeout_s=_TIMEOUT_S,
    stop_s=5.0,
)
async def run_python(
    invocation: Invocation,
    code: Annotated[
        str, Field(max_length=50_000, description="Python; the value of the last expression is the result.")
    ],
    inputs: Annotated[JsonObject | None, Field(description="Variables that the code finds, by name.")] = None,
) -> ToolResult:
    """Compute something with a few lines of Python: arithmetic, text, dates, regular expressions, JSON.

    There are no files, no network, no packages, and not all of Python. For programs use shell.run.
    """
    computed = await MontyInterpreter().run(
        code,
        inputs=inputs or {},
        timeout_s=min(_TIMEOUT_S, invocation.timeout_s),
        memory_bytes=_MEMORY_BYTES,
    )
    content: JsonObject = {"value": computed.value}
    if computed.output:
        content["output"] = computed.output
    if computed.error is not None:
        content = {**content, "error": computed.error}
    return ToolResult(content, is_error=computed.error is not None)

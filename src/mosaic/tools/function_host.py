"""Runs one function of a Python file that came with a workflow; a process of its own, started for one call.

Reads one line of JSON, writes one line to where its standard output was; what the function prints goes to standard
error. It can do what its process can do, which is what its confinement leaves it.
"""

import asyncio
import json
import os
import sys
import types
from typing import Any

from mosaic.core.errors import MosaicError, ToolFailed


def main() -> None:
    """Describe the function, or call it."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    order: dict[str, Any] = json.loads(sys.stdin.readline())
    try:
        reply = _reply(order)
    except MosaicError as error:
        reply = {"error": error.to_json()}
    except BaseException as error:  # noqa: BLE001  # whatever the file does, the answer is JSON
        reply = {"error": ToolFailed(f"{order['file']} raised {type(error).__name__}: {error}").to_json()}
    try:
        text = json.dumps(reply)
    except (TypeError, ValueError, RecursionError) as error:
        text = json.dumps({"error": ToolFailed(f"{order['function']} returned no JSON: {error}").to_json()})
    answer.write(text + "\n")
    answer.flush()
    os._exit(0)  # a thread the file started must not keep us


def _reply(order: dict[str, Any]) -> dict[str, Any]:
    from mosaic.tools.functions import FunctionTool, tool  # noqa: PLC0415  # its failure is to be told too

    module = types.ModuleType("workflow_tools")
    module.__file__ = order["file"]
    sys.modules["workflow_tools"] = module
    exec(compile(order["source"], order["file"], "exec"), module.__dict__)  # noqa: S102  # our very task
    found = getattr(module, order["function"], None)
    if found is None:
        names = sorted(name for name, value in vars(module).items() if callable(value) and name[0] != "_")
        raise ToolFailed(
            f"{order['file']} has no function {order['function']}.", hint=f"It has: {', '.join(names)}"
        )
    made = found if isinstance(found, FunctionTool) else tool(risk="destructive")(found)
    spec = made.spec
    if order["mode"] == "describe":
        shown = spec.to_json()
        return {"spec": {**shown, "safety": spec.safety.value, "retries": spec.retries}}
    return {"result": asyncio.run(_call(made, order)).to_json()}


async def _call(made: Any, order: dict[str, Any]) -> Any:
    from mosaic.core.context import Actor, Context  # noqa: PLC0415  # as above
    from mosaic.tools.interfaces import Invocation  # noqa: PLC0415

    about = order["invocation"]
    invocation = Invocation(
        ctx=Context(about["tenant"], about["project"], Actor.parse(about["actor"])),
        run_id=about["run_id"],
        path=about["path"],
        agent=about["agent"],
        workspace=None,
        idempotency_key=about["idempotency_key"],
        timeout_s=about["timeout_s"],
        progress=lambda line: print(line, file=sys.stderr, flush=True),  # noqa: T201  # our parent reads it
    )
    return await made.call(invocation, order["arguments"])


if __name__ == "__main__":
    main()

"""Short Python of a model's, in an interpreter that has no files, no network and no modules of ours (pydantic-monty)."""

import importlib.util
import json
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_jsonable_python

from mosaic.core.errors import Unavailable
from mosaic.core.values import JsonObject, JsonValue
from mosaic.tools.sandbox.schemas import Hold, Probe

__all__ = ["Computed", "MontyInterpreter", "monty_is_installed"]

_INSTALL = "Install the extra: `pip install 'mosaicstack[sandbox]'`."
_GRACE_S = 2.0
_OUTPUT_BYTES = 64_000
_TRY_S = 5.0


@dataclass(frozen=True, slots=True)
class Computed:
    """What a piece of Python came to.

    Attributes:
        value: of its last expression, as JSON; what JSON does not have is shown as Python writes it.
        output: what it printed.
        error: the exception that ended it, in one line; None when it ended well.
    """

    value: JsonValue
    output: str
    error: str | None = None


def monty_is_installed() -> bool:
    """Say whether the interpreter can be used."""
    return importlib.util.find_spec("pydantic_monty") is not None


class MontyInterpreter:
    """Runs each piece of code in a fresh interpreter in a process of its own.

    The interpreter is written in Rust and knows a part of Python. It offers code no way to the operating system: no
    file, socket, process, variable or host function is within its reach.
    """

    name = "monty"

    async def run(self, code: str, *, inputs: JsonObject, timeout_s: float, memory_bytes: int) -> Computed:
        """Run code to its end.

        Args:
            code: Python; the value of its last expression is the result.
            inputs: variables that it finds.
            timeout_s: how long it may run.
            memory_bytes: how much memory it may take.

        Raises:
            Unavailable: if the interpreter is not installed or cannot be started.
        """
        try:
            import pydantic_monty as monty  # noqa: PLC0415  # an optional package
        except ImportError:
            raise Unavailable("The Python sandbox is not installed.", hint=_INSTALL) from None
        output = monty.CollectString(max_bytes=_OUTPUT_BYTES)
        limits = monty.ResourceLimits(
            max_feed_duration_secs=timeout_s, max_memory=memory_bytes, max_suspensions=50
        )
        try:
            async with (
                monty.AsyncMonty(
                    max_processes=1,
                    max_checkouts_per_worker=1,
                    request_timeout=timeout_s + _GRACE_S,
                ) as pool,
                pool.checkout(limits=limits, os_policy={"sleep": "zero"}) as session,
            ):
                value = await session.feed_run(code, inputs=dict(inputs), print_callback=output)
            return Computed(_as_json(value), output.output)
        except monty.MontyError as error:
            return Computed(None, output.output, str(error))
        except (ValueError, OverflowError, RecursionError, TimeoutError) as error:
            # Its value is none that Python itself would hold, such as a number of a million digits.
            return Computed(None, output.output, f"{type(error).__name__}: {error}")
        except OSError as error:
            raise Unavailable(f"The Python sandbox cannot be started: {error}", hint=_INSTALL) from error

    async def probe(self) -> Probe:
        """Find out whether it works here, by trying."""
        if not monty_is_installed():
            return Probe(self.name, False, "pydantic-monty is not installed.", _INSTALL)
        try:
            seen = await self.run("40 + n", inputs={"n": 2}, timeout_s=_TRY_S, memory_bytes=16_000_000)
            tried = await self.run(
                "open('/etc/passwd')", inputs={}, timeout_s=_TRY_S, memory_bytes=16_000_000
            )
        except Unavailable as error:
            return Probe(self.name, False, error.message, error.hint)
        if seen.value != 42 or tried.error is None:
            return Probe(
                self.name, False, f"It computes {seen.value} and opens files: {tried.error}.", _INSTALL
            )
        return Probe(
            self.name, True, "short Python without files or network (python.run)", holds=frozenset(Hold)
        )


def _as_json(value: Any) -> JsonValue:
    """Return a value as JSON.

    Raises:
        ValueError: if it holds a number of more digits than Python writes.
    """
    made = to_jsonable_python(value, fallback=repr, serialize_unknown=True, bytes_mode="base64")
    plain: JsonValue = json.loads(json.dumps(made), parse_constant=str)
    return plain

"""Python of a model's computes, and reaches nothing."""

from typing import Any

import pytest

from mosaic.tools import Invocation
from mosaic.tools.builtin.python import run_python
from mosaic.tools.sandbox.monty import MontyInterpreter, monty_is_installed

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not monty_is_installed(), reason="pydantic-monty is not installed"),
]


async def computed(invocation: Invocation, code: str, **inputs: Any) -> Any:
    return (await run_python.call(invocation, {"code": code, "inputs": inputs})).content


async def test_it_computes(invocation: Invocation) -> None:
    code = "import json\nprint('began')\nsum(n * n for n in data['numbers'])"
    assert await computed(invocation, code, data={"numbers": [1, 2, 3]}) == {"value": 14, "output": "began\n"}


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("{1: (1, 2.5)}", {"1": [1, 2.5]}),
        ("float('nan')", "NaN"),
        ("b'\\xff'", "_w=="),
        ("x = 1", None),
    ],
)
async def test_every_value_becomes_json(invocation: Invocation, code: str, value: Any) -> None:
    assert (await computed(invocation, code))["value"] == value


@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd').read()",
        "import os\nos.environ['PATH']",
        "import os\nos.system('id')",
        "import subprocess",
        "import socket",
        "import ctypes",
        "import mosaic",
        "__import__('os').listdir('/')",
        "from pathlib import Path\nPath('/etc/passwd').read_text()",
        "from pathlib import Path\nPath('/tmp/monty-was-here').write_text('x')",
        "().__class__.__base__.__subclasses__()",
        "(lambda: 0).__globals__",
        'eval(\'__import__("os").system("id")\')',
        "import builtins\nbuiltins.open('/etc/passwd')",
        "invocation",
    ],
)
async def test_it_reaches_nothing(invocation: Invocation, code: str) -> None:
    result = await run_python.call(invocation, {"code": code})
    assert result.is_error
    assert "root:" not in str(result.content)
    assert "uid=" not in str(result.content)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("while True: pass", "TimeoutError"),
        ("'a' * 10**9", "MemoryError"),
        ("x = []\nwhile True: x.append('a' * 10**6)", "MemoryError"),
        ("def f(): return f()\nf()", "RecursionError"),
        ("while True: print('x' * 1000)", "MemoryError"),
        ("2 ** 10000000", "digits"),
        ("x = (", "EOF"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
async def test_it_ends_at_its_bounds_with_an_error_the_model_reads(
    invocation: Invocation, code: str, error: str
) -> None:
    ran = await MontyInterpreter().run(code, inputs={}, timeout_s=1.0, memory_bytes=16_000_000)
    assert ran.error is not None
    assert error in ran.error
    assert len(ran.output) < 100_000


async def test_nothing_is_left_of_one_call_in_the_next(invocation: Invocation) -> None:
    await computed(invocation, "leak = 'of the first tenant'")
    assert "NameError" in (await computed(invocation, "leak"))["error"]


async def test_the_probe_tries() -> None:
    assert (await MontyInterpreter().probe()).works

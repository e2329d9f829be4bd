"""The sandbox on E2B, through its own package (the extra `e2b`)."""

import importlib
import importlib.util
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mosaic.core.errors import ContractViolation, Unavailable
from mosaic.tools.sandbox.remote import RemoteSandbox, Session
from mosaic.tools.sandbox.schemas import Hold, Job

__all__ = ["E2bSandbox"]

_KEY = "E2B_API_KEY"
_SPARE_S = 180


class E2bSandbox(RemoteSandbox):
    """Runs each command in a sandbox of E2B's; the key comes from the environment.

    Args:
        template: what sandboxes are made from; the vendor's default when None.
    """

    name = "e2b"

    def __init__(self, *, template: str | None = None) -> None:
        self._template = template

    @property
    def amounts(self) -> frozenset[Hold]:
        """Memory and processors are the template's."""
        return frozenset({Hold.MEMORY, Hold.CPU})

    def problem(self) -> tuple[str, str] | None:
        """Return what is missing to use it."""
        if not os.environ.get(_KEY):
            return f"{_KEY} is not set.", f"Make a key in E2B's dashboard and set {_KEY}."
        if importlib.util.find_spec("e2b") is None:
            return "The package e2b is not installed.", "Install the extra: `pip install 'mosaicstack[e2b]'`."
        return None

    @asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[Session]:
        """Get a sandbox for the length of the block; it also ends by itself."""
        if (missing := self.problem()) is not None:
            raise Unavailable(missing[0], hint=missing[1])
        e2b = _package()
        try:
            sandbox = await e2b.AsyncSandbox.create(
                template=self._template,
                timeout=int(job.timeout_s) + _SPARE_S,
                allow_internet_access=job.network,
                metadata={"made-by": "mosaic"},
            )
        except Exception as error:  # its errors have no common root
            raise Unavailable(f"E2B gives no sandbox: {error}", hint=f"Check {_KEY}.") from error
        try:
            yield _Session(sandbox)
        finally:
            await sandbox.kill()


def _package() -> Any:
    return importlib.import_module("e2b")


class _Session:
    """One sandbox of the vendor's."""

    def __init__(self, sandbox: Any) -> None:
        self._sandbox = sandbox

    async def put(self, path: str, data: bytes) -> None:
        """Write a file."""
        await self._sandbox.files.write(path, data)

    async def execute(self, line: str, *, timeout_s: float) -> int:
        """Run a line to its end; returns its exit status."""
        e2b = _package()
        try:
            done = await self._sandbox.commands.run(line, timeout=timeout_s, retain_output=False)
        except e2b.CommandExitException as error:
            return int(error.exit_code)
        except e2b.SandboxException as error:
            raise Unavailable(f"E2B's sandbox is lost: {error}") from error
        return int(done.exit_code)

    async def get(self, path: str, *, limit_bytes: int) -> bytes:
        """Return a file's content."""
        data = bytearray()
        async for chunk in await self._sandbox.files.read(path, format="stream"):
            data += chunk
            if len(data) > limit_bytes:
                raise ContractViolation(f"What came back is larger than {limit_bytes} bytes.")
        return bytes(data)

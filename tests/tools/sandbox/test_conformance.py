"""Every driver that works here keeps every promise it makes; the suite itself can fail."""

import pytest

from mosaic.tools.sandbox import Hold, Sandboxes
from mosaic.tools.sandbox.conformance import CHECKS, Check, NotHeld, grounds
from tests.tools.sandbox.drivers import LOCAL, driver

pytestmark = pytest.mark.anyio

named = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)


@pytest.mark.parametrize("name", LOCAL)
@named
async def test_the_driver_holds(name: str, check: Check) -> None:
    sandbox = await driver(name, *([check.hold] if check.hold is not None else []))
    async with grounds(sandbox) as on:
        await check.attempt(on)


@named
async def test_the_suite_tells_a_sandbox_from_none(check: Check) -> None:
    """Without a sandbox every check of a hold fails, and those of every driver pass."""
    async with grounds(Sandboxes().driver("off")) as on:
        if check.hold in (None, Hold.PROCESSES, Hold.MEMORY, Hold.CPU):  # bounds are there without a sandbox
            if check.name != "talks_to_a_socket_that_it_was_given" and check.hold is None:
                await check.attempt(on)
            return
        if check.name in ("changes_nothing_outside", "keeps_the_kernel_as_it_is"):
            pytest.skip("it would change this machine")
        with pytest.raises(NotHeld):
            await check.attempt(on)

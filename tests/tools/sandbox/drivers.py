"""The drivers that tests run on, and what makes a test skip or fail where one does not work."""

import os

import pytest

from mosaic.tools.sandbox import Hold, Sandbox, Sandboxes, SandboxSettings

LOCAL = ("bubblewrap", "native", "docker")

INSISTS = {"bubblewrap": "MOSAIC_REQUIRE_BWRAP"}


async def driver(name: str, *holds: Hold) -> Sandbox:
    """Return a driver that works here and claims `holds`; skip the test otherwise."""
    sandboxes = Sandboxes(SandboxSettings(image=os.environ.get("MOSAIC_TEST_DOCKER_IMAGE")))
    probe = await sandboxes.probe(name)
    insisted = os.environ.get(INSISTS.get(name, ""), "") == "1"
    if not probe.works:
        message = f"{name}: {probe.detail} {probe.fix or ''}"
        if insisted:
            pytest.fail(message)
        pytest.skip(message)
    if missing := set(holds) - probe.holds:
        message = "; ".join(
            f"{name} does not hold {hold}: {probe.gaps.get(hold)}" for hold in sorted(missing)
        )
        if insisted:
            pytest.fail(message)
        pytest.skip(message)
    return sandboxes.driver(name)

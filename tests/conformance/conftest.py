"""The suites of others, installed."""

import pytest

from tests.conformance.installation import NotInstalled, Programs, installed


@pytest.fixture(scope="session")
def programs() -> Programs:
    """Node and the suites."""
    try:
        return installed()
    except NotInstalled as error:
        pytest.fail(
            f"The conformance suites could not be installed from the npm registry: {error}\nThe tests need it once; "
            "afterwards the folder that MOSAIC_TEST_CACHE names, or ~/.cache/mosaic-tests, has them.",
            pytrace=False,
        )

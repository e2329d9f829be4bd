"""Every provider says of every operation whether it is supported, partly, or not and why."""

import pytest

from mosaic.core.redaction import Redactor
from mosaic.providers import ProviderRegistry
from mosaic.providers.capabilities import OPERATIONS
from mosaic.providers.testing import scaffold
from tests.providers.folders import write_plugin

BUILT_IN = ("anthropic", "cohere", "gemini", "ollama", "openai", "scripted")


def registry(**options):
    return ProviderRegistry(redactor=Redactor(), environment={}, **options)


@pytest.mark.requirement("ORC-218")
@pytest.mark.parametrize("name", BUILT_IN)
def test_every_operation_has_a_level_and_a_reason_unless_supported(name):
    found = registry().capabilities(name)
    assert set(found) >= set(OPERATIONS["ai"])
    for operation, support in found.items():
        assert support.level in ("supported", "partial", "unsupported")
        assert support.level == "supported" or support.reason, operation


@pytest.mark.requirement("ORC-218")
def test_what_the_manifest_declares_counts_and_the_rest_is_what_the_provider_shows(tmp_path):
    operations = {"vision": {"level": "partial", "reason": "small images only"}, "speech": "supported"}
    write_plugin(tmp_path, "plain", operations=operations)
    found = registry(plugins=[], directory=tmp_path).capabilities("plain")
    assert (found["vision"].level, found["vision"].reason) == ("partial", "small images only")
    assert found["speech"].level == "supported"
    assert found["complete"].level == "supported"
    assert found["embeddings"].level == found["tools"].level == found["pass_through"].level == "unsupported"


def test_resources_are_operations_too(tmp_path):
    scaffold("forge", kind="git", directory=tmp_path)
    found = registry(plugins=[], directory=tmp_path).capabilities("forge")
    assert set(found) == set(OPERATIONS["git"])
    assert found["repositories"].level == "supported"
    assert found["mirrors"].level == "unsupported"


@pytest.mark.requirement("ORC-217")
def test_the_matrix_has_a_row_for_every_instance_broken_ones_too(tmp_path):
    write_plugin(tmp_path, "broken", code="raise ValueError('surprise')")
    rows = {row["provider"]: row for row in registry(directory=tmp_path).matrix()}
    assert set(rows) >= {*BUILT_IN, "broken"}
    assert "surprise" in rows["broken"]["error"]
    assert rows["openai"]["operations"]["embeddings"] == {"level": "supported"}
    assert rows["scripted"]["operations"]["embeddings"]["level"] == "unsupported"


@pytest.mark.requirement("ORC-217")
def test_the_matrix_has_the_rows_that_each_kind_asks_for():
    counts = {kind: len(operations) for kind, operations in OPERATIONS.items()}
    assert counts["git"] >= 15
    assert counts["ci"] >= 14
    assert counts["knowledge"] >= 13
    assert counts["ai"] >= 12
    assert all(len(set(operations)) == len(operations) for operations in OPERATIONS.values())

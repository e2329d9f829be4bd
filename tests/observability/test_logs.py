"""Logs are one line per fact, carry what a search needs, and never a secret."""

import json
import logging

import pytest

from mosaic.core.redaction import Redactor
from mosaic.observability import configure_logging, get_logger

KEY = "sk-ant-" + "a1B2" * 8


@pytest.fixture(autouse=True)
def _restore_root_logger():
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("style", ["json", "text"])
def test_a_secret_never_reaches_the_log(style, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(redactor=Redactor(["hunter2hunter2"]), level="INFO", style=style)
    get_logger("mosaic.test").info("called with %s", KEY, extra={"header": "Bearer hunter2hunter2"})
    try:
        raise ValueError(f"bad key {KEY}")  # noqa: TRY301  # the traceback is what must be masked
    except ValueError:
        get_logger("mosaic.test").exception("failed")
    written = capsys.readouterr().err
    assert "called with" in written
    assert "hunter2" not in written
    assert KEY not in written


@pytest.mark.requirement("MAOS-41")
def test_facts_given_as_extra_become_fields_of_a_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(redactor=Redactor(), level="INFO", style="json")
    get_logger("mosaic.test").info("step done", extra={"correlation": "run_1", "path": "build[2]/code"})
    line = json.loads(capsys.readouterr().err)
    assert line["message"] == "step done"
    assert (line["correlation"], line["path"], line["level"]) == ("run_1", "build[2]/code", "info")


def test_configuring_twice_does_not_write_every_line_twice(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        configure_logging(redactor=Redactor(), level="INFO", style="text")
    get_logger("mosaic.test").info("once")
    assert capsys.readouterr().err.count("once") == 1

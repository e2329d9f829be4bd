"""Logs go to stderr as short lines or as JSON, each once, and never with a secret in it."""

import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest

from mosaic.core.redaction import Redactor
from mosaic.observability import configure_logging, get_logger


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    """The root logger is as it was afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level


def log(
    style: Literal["json", "text"], capsys: pytest.CaptureFixture[str], level: str = "WARNING"
) -> list[str]:
    configure_logging(redactor=Redactor(["hunter2hunter2"]), style=style, level=level)
    logger = get_logger("mosaic.test")
    logger.info("nothing much")
    logger.warning("lost %s", "a key: hunter2hunter2", extra={"run": "run_1", "password": "x"})
    try:
        raise ValueError("bad hunter2hunter2 value")  # noqa: TRY301  # its traceback is what must be masked
    except ValueError:
        logger.exception("it broke", extra={"path": "a/b"})
    return capsys.readouterr().err.splitlines()


def test_a_person_reads_short_lines(capsys: pytest.CaptureFixture[str]) -> None:
    lines = log("text", capsys)
    assert lines[0] == "warning: lost a key: [redacted] run=run_1 password=[redacted]"
    assert lines[1] == "error: it broke path=a/b"
    assert lines[-1] == "ValueError: bad [redacted] value"


@pytest.mark.requirement("MAOS-41", "MOZ-132")
def test_a_machine_reads_json(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [json.loads(line) for line in log("json", capsys)]
    assert [line["level"] for line in lines] == ["warning", "error"]
    assert lines[0]["message"] == "lost a key: [redacted]"
    assert lines[0]["run"] == "run_1"
    assert lines[0]["password"] == "[redacted]"
    assert "ValueError: bad [redacted] value" in lines[1]["trace"]
    assert "hunter2" not in str(lines)


def test_configured_again_a_line_is_still_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(redactor=Redactor())
    assert len(log("json", capsys, level="INFO")) == 3


def test_a_fact_named_like_a_field_of_ours_does_not_hide_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(redactor=Redactor(), style="json")
    get_logger("mosaic.test").warning("said", extra={"level": 7, "at": "noon"})
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["message"]) == ("warning", "said")


def test_of_a_librarys_failure_a_person_reads_what_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(redactor=Redactor())
    try:
        int("seven")
    except ValueError:
        logging.getLogger("library").exception("the library broke")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "error: the library broke",
        "ValueError: invalid literal for int() with base 10: 'seven'",
    ]

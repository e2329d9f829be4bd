"""What the tables of broken files share."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from mosaic.core.errors import InvalidDefinition
from mosaic.workflows import check, load

HEAD = """\
mosaic: v1
kind: Workflow
metadata: {name: x}
"""
WITH_AGENTS = (
    HEAD
    + """\
agents: {planner: {output: {type: object, properties: {tasks: {type: array, items: {type: object, properties: {title: {type: string}}}}}}}, coder: {}}
"""
)


@dataclass(frozen=True)
class Broken:
    """A file, and each problem in it as ``line:column: message (suggestion)``."""

    name: str
    text: str
    problems: tuple[str, ...]


def refused(text: str) -> tuple[str, ...]:
    """Return the problems of a file in the current directory; loading it tells the same ones."""
    Path("w.yaml").write_text(text)
    problems = check("w.yaml")
    with pytest.raises(InvalidDefinition) as raised:
        load("w.yaml")
    assert raised.value.problems == tuple(problems)
    assert "mosaic validate" in str(raised.value.hint)
    return tuple(str(problem).removeprefix("w.yaml:") for problem in problems)

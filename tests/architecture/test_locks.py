"""The committed locks fit pyproject.toml, name no registry, and agree with each other."""

import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.sources import ROOT

LOCKS = ROOT / "requirements"


def pins(lock: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", (LOCKS / lock).read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def requirements(*groups: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = list(project["project"]["dependencies"])
    for group in groups:
        for item in project["dependency-groups"][group]:
            if isinstance(item, str):
                found.append(item)
            else:
                found += map(str, requirements(item["include-group"]))
    return [Requirement(text) for text in found]


@pytest.mark.parametrize(
    ("lock", "groups"),
    [("run.lock", ("examples", "build")), ("dev.lock", ("dev",)), ("bench.lock", ("dev", "bench"))],
)
def test_a_lock_pins_everything_pyproject_asks_for(lock, groups):
    pinned = pins(lock)
    for requirement in requirements(*groups):
        versions = pinned.get(canonicalize_name(requirement.name))
        assert versions, f"{lock} lacks {requirement}"
        assert all(version in requirement.specifier for version in versions), (
            f"{lock}: {requirement} is {versions}"
        )


def test_the_locks_check_themselves():
    done = subprocess.run(
        [sys.executable, ROOT / ".ci/lock", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_lock_check_notices_a_changed_requirement(tmp_path):
    for name in (".ci", "requirements"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".ci").unlink()
    (tmp_path / ".ci").mkdir()
    for name in ("lock", "environment.py"):
        (tmp_path / ".ci" / name).write_text((ROOT / ".ci" / name).read_text())
    project = (ROOT / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(project.replace('"click>=8.5,<9"', '"click>=8.5,<10"'))
    done = subprocess.run(
        [sys.executable, tmp_path / ".ci/lock", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "run.lock does not fit pyproject.toml" in done.stderr

"""Argument injection: whatever an agent gives as an argument stays an argument."""

import json
import subprocess
from pathlib import Path

import pytest

from mosaic.core.errors import MosaicError, ToolFailed
from mosaic.tools.builtin import git_diff, git_log, git_status
from tests.tools.adversarial.conftest import Attacker

pytestmark = pytest.mark.anyio

ODD = [
    "--help",
    "-c",
    "--",
    "$(touch planted)",
    "`touch planted`",
    "; touch planted",
    "|touch planted",
    "\n touch planted",
]


async def test_arguments_of_a_program_are_passed_as_they_are(attacker: Attacker, workspace: Path) -> None:
    script = "import json, sys; print(json.dumps(sys.argv[1:]))"
    seen = await attacker.run(argv=["python3", "-c", script, *ODD])
    assert json.loads(seen["stdout"]) == ODD
    assert not (workspace / "planted").exists()


@pytest.mark.parametrize("program", ["--bind", "-c", "--ro-bind", "--privileged", "-v", "--", "-a"])
async def test_a_program_is_no_option_of_what_starts_it(
    attacker: Attacker, outside: Path, program: str
) -> None:
    """It is neither bubblewrap's, nor the shell's, nor Docker's."""
    try:
        seen = await attacker.run(argv=[program, str(outside), str(outside), "cat", f"{outside}/secret"])
    except ToolFailed:
        return
    assert "a secret of the host" not in seen["stdout"]
    assert seen["exit_code"] != 0


@pytest.mark.parametrize("line", ["-c", "--version", "-s", "--", "-x; echo ran"])
async def test_a_line_that_begins_with_a_dash_is_a_line(attacker: Attacker, line: str) -> None:
    seen = await attacker.run(line)
    assert seen["exit_code"] in (0, 2, 126, 127)
    assert "GNU" not in seen["stdout"], "it was an option of the shell"


@pytest.fixture
def repository(workspace: Path) -> Path:
    run = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(workspace)]
    (workspace / "a").write_text("a\n")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run([*run, *command], check=True)
    (workspace / "a").write_text("b\n")
    return workspace


@pytest.mark.parametrize(
    "word",
    [
        *(
            "--output=planted",
            "--ext-diff",
            "-O/etc/passwd",
            "--no-index",
            "--exec=touch planted",
            "-c",
            "--help",
        ),
        *(
            "--upload-pack=touch planted",
            "HEAD --output=planted",
            "--git-dir=/tmp",
            "HEAD;touch planted",
            "@{-1}",
        ),
        *(":(top,glob)**", ":!a", ":/", "HEAD:../../outside/secret", "--textconv", "-\n", "$(touch planted)"),
    ],
)
async def test_no_word_is_an_option_of_git(
    attacker: Attacker, repository: Path, outside: Path, word: str
) -> None:
    for tool, name in ((git_diff, "base"), (git_diff, "path"), (git_log, "revision"), (git_log, "path")):
        try:
            result = await tool.call(attacker.invocation, {name: word})
        except MosaicError:
            continue
        assert "usage:" not in str(result.content)
        assert "a secret of the host" not in str(result.content)
        assert "root:" not in str(result.content)
    for place in (repository, outside, Path.cwd()):
        assert not (place / "planted").exists()


@pytest.mark.usefixtures("repository")
async def test_names_of_files_are_no_options_either(attacker: Attacker, workspace: Path) -> None:
    (workspace / "--output=planted").write_text("x\n")
    (workspace / "-rf").write_text("x\n")
    for tool in (git_status, git_diff):
        await tool.call(attacker.invocation, {})
    listed = await git_diff.call(attacker.invocation, {"path": "--output=planted"})
    assert "+x" in str(listed.content)
    assert not (workspace / "planted").exists()

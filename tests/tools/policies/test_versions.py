"""The policy is followed while it changes, a broken change is told and not taken, and every version is kept."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mosaic.core.errors import InvalidInput, NotFound, PolicyDenied
from mosaic.tools.policies import PolicyJudge
from tests.tools.policies.conftest import Echo, PolicyBench

pytestmark = pytest.mark.anyio

DENY = "rules: [{name: stop, effect: deny, match: {tool: acme.do}}]"


@pytest.fixture
async def followed(policed: PolicyBench) -> AsyncIterator[PolicyBench]:
    await policed.judge.start()
    yield policed
    await policed.judge.close()


async def becomes(bench: PolicyBench, *, refused: bool) -> None:
    """Call until calls are refused, or are no longer."""
    async with asyncio.timeout(30):
        while True:
            try:
                await bench.call(Echo())
                found = False
            except PolicyDenied:
                found = True
            if found is refused:
                return


@pytest.mark.requirement("ORC-108")
async def test_changes_of_the_file_are_followed(followed: PolicyBench) -> None:
    await followed.call(Echo())
    (followed.home / "policy.yaml").write_text(DENY)
    await becomes(followed, refused=True)
    (followed.home / "policy.yaml").unlink()
    await becomes(followed, refused=False)


async def test_a_broken_change_is_told_once_and_the_old_policy_stays(
    followed: PolicyBench, caplog: pytest.LogCaptureFixture
) -> None:
    (followed.home / "policy.yaml").write_text(DENY)
    await becomes(followed, refused=True)
    with caplog.at_level(logging.ERROR):
        (followed.home / "policy.yaml").write_text("rules: [{name: stop}]")
        async with asyncio.timeout(30):
            while "the old one stays" not in caplog.text:
                await becomes(followed, refused=True)
    assert "policy.yaml:1:9: `effect` is missing here" in caplog.text
    (followed.home / "policy.yaml").write_text("rules: []")
    await becomes(followed, refused=False)
    assert caplog.text.count("the old one stays") == 1


async def test_nothing_starts_with_a_broken_policy_and_every_problem_is_told(policed: PolicyBench) -> None:
    (policed.home / "policy.yaml").write_text(
        "rules:\n  - {name: a, effect: nope}\n  - {name: b, effect: deny, mach: {}}\n"
    )
    with pytest.raises(InvalidInput) as refused:
        await policed.judge.start()
    assert [(problem.line, problem.column) for problem in refused.value.problems] == [(2, 23), (3, 29)]
    assert str(refused.value.problems[0]).startswith(f"{policed.home}/policy.yaml:2:23: expected one of")


async def test_every_version_that_judged_is_kept_with_its_files(policed: PolicyBench) -> None:
    policed.write(DENY)
    first = policed.judge.policy.version
    assert first is not None
    with pytest.raises(PolicyDenied):
        await policed.call(Echo())
    policed.write("rules: []")
    await policed.call(Echo())
    policed.write(DENY)
    with pytest.raises(PolicyDenied):
        await policed.call(Echo())
    assert policed.judge.policy.version == first  # the same files are the same version
    kept = await policed.versions.list()
    assert [(version.rules, version.files) for version in kept] == [
        (0, ("policy.yaml",)),
        (1, ("policy.yaml",)),
    ]
    version, files = await policed.versions.files(first.removeprefix("sha256:")[:12])
    assert (version.version, files) == (first, {"policy.yaml": DENY})
    for unknown in ("sha256:0000000000", "", "sha256:"):
        with pytest.raises(NotFound):
            await policed.versions.files(unknown)


async def test_permissions_that_cannot_be_read_here_let_nothing_pass(
    policed: PolicyBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cedarpy", None)
    (policed.home / "permissions.cedar").write_text("permit(principal, action, resource);")
    with pytest.raises(InvalidInput) as refused:
        await policed.judge.start()
    assert "cedarpy is not installed" in str(refused.value.problems[0])
    with pytest.raises(PolicyDenied):
        await policed.call(Echo(risk="read_only"))


async def test_the_files_have_the_names_of_their_kinds(tmp_path: Path) -> None:
    judge = PolicyJudge(tmp_path)
    assert judge.policy.version is None
    (tmp_path / "policy.json").write_text('{"rules": [{"name": "j", "effect": "deny"}]}')
    judge.load()
    assert [rule.name for rule in judge.policy.book.rules] == ["j"]
    (tmp_path / "policy.yaml").write_text("rules: [{name: y, effect: deny}]")
    judge.load()
    assert [rule.name for rule in judge.policy.book.rules] == ["y"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules: [{name: a, effect: allow}]", "would allow everything"),
        ("rules: [{name: a, effect: deny, match: {}}]", "empty"),
        ("rules: [{name: a, effect: deny, when: 'call.x'}]", "no field `x`"),
        ("rules: [{name: a, effect: deny, when: 'tool == 1'}]", "unknown variable `tool`"),
        ("rules: [{name: a, effect: deny, when: 'call.tool =='}]", "ends too early"),
        ("rules: [{name: a, effect: deny, match: {arguments: {x: {regex: '(a'}}}}]", "linear-time"),
        ("rules: [{name: a, effect: deny}, {name: a, effect: deny}]", "taken by the rule at line 1"),
        ("rules: [{name: a, effect: deny, approval: {quorum: 2}}]", "only an ask has an approval"),
        ("rules: [{name: a, effect: ask, match: {tool: x}, approval: {quorum: 0}}]", "at least 1"),
        ("rules: [{name: a, effect: deny, expires: '2027-01-31T10:00:00'}]", "nor a time with its zone"),
        ("rules: [{name: a b, effect: deny}]", "letters, digits"),
        ("limits: {x: {concurrency: 0}}", "at least 1"),
        ("limits: {x: {}}", "empty"),
        ("rule: []", "did you mean `rules`"),
        ("rules: [{name: a, effect: deny, reason: sk-" + "x" * 40 + "}]", "looks like a secret"),
        ("- a", "mapping"),
        ("a: [", "node content"),
        ("a: !!python/object:os.system {}", ""),
    ],
)
async def test_what_is_wrong_in_a_policy_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(InvalidInput) as refused:
        PolicyJudge(tmp_path).load()
    assert told in str(refused.value) + " ".join(map(str, refused.value.problems))

"""Forks: everything before the step is kept and not done again, the files are as they were, the rest is new."""

from pathlib import Path

import pytest

from tests.app.site import Site, write_workflow
from tests.runs.test_runs import git

pytestmark = pytest.mark.anyio

# Each step leaves a line in a file outside the worktree, so a step that ran twice is seen.
STEPS = """
workspace: {source: repo/}
policies: {exec: allow}
inputs: {type: object, properties: {word: {type: string, default: old}}}
do:
  - one: {run: 'echo one >> log.txt; date +%s%N > one.txt; cat one.txt'}
  - two: {run: 'echo two >> log.txt; printf %s "${inputs.word}" > two.txt'}
  - three: {run: 'echo three >> log.txt; cat two.txt'}
outputs: {one: "${one.stdout}", three: "${three.stdout}"}
"""


async def test_a_fork_begins_with_the_files_as_they_were_before_the_step(site: Site) -> None:
    folder = site.folder / "flows" / "refork"
    write_workflow(folder, STEPS, repo_S_base__txt="base\n")
    old = await site.finish((await site.start("refork", STEPS))["id"])
    assert old["status"] == "succeeded", old["error"]
    # Nobody looks at the folder again: what was imported counts.
    (folder / "repo" / "base.txt").write_text("changed since\n")
    fork = await site.client.fork(old["id"], from_step="two", inputs={"word": "new"})
    done = await site.finish(fork["id"])
    assert done["status"] == "succeeded", done["error"]
    assert done["outputs"] == {"one": old["outputs"]["one"], "three": "new"}
    workspace = done["workspace"]
    assert git(workspace["repository"], "show", f"{workspace['branch']}:log.txt").split() == [
        "one",
        "two",
        "three",
    ]
    assert git(workspace["repository"], "show", f"{workspace['branch']}:base.txt") == "base"
    started = [event["path"] for event in await site.events(fork["id"]) if event["type"] == "step.started"]
    assert started == ["two", "three"]
    again = await site.finish((await site.client.fork(fork["id"], from_step="three", inputs=None))["id"])
    assert again["outputs"] == done["outputs"]


async def test_a_fork_of_a_repository_works_on_a_branch_of_its_own(site: Site) -> None:
    folder = site.folder / "flows" / "borrowed"
    repo = folder / "repo"
    write_workflow(folder, STEPS, repo_S_base__txt="base\n")
    git(repo, "init", "-q", "-b", "main")
    git(repo, "add", "--all")
    git(repo, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "first")
    old = await site.finish((await site.start("borrowed", STEPS))["id"])
    done = await site.finish((await site.client.fork(old["id"], from_step="three", inputs=None))["id"])
    assert done["status"] == "succeeded", done["error"]
    assert Path(done["workspace"]["repository"]) == repo
    branches = git(repo, "branch", "--format=%(refname:short)").split()
    assert set(branches) >= {"main", f"mosaic/{old['id']}", f"mosaic/{done['id']}"}
    assert git(repo, "show", f"mosaic/{done['id']}:log.txt").split() == ["one", "two", "three"]


async def test_a_run_that_failed_is_forked_from_the_step_that_failed(site: Site) -> None:
    text = """
policies: {exec: allow}
inputs: {type: object, properties: {code: {type: integer, default: 3}}}
do:
  - make: {run: 'echo kept > kept.txt'}
  - judge: {run: 'test -f kept.txt && exit ${inputs.code}'}
"""
    old = await site.finish((await site.start("mended", text))["id"])
    assert old["status"] == "failed"
    done = await site.finish((await site.client.fork(old["id"], from_step="judge", inputs={"code": 0}))["id"])
    assert done["status"] == "succeeded", done["error"]


async def test_what_came_after_the_step_is_done_again_even_what_left_no_event(site: Site) -> None:
    """A timer's deadline is remembered without an event; a fork from before it must wait anew."""
    text = """
do:
  - first: {set: 1}
  - pause: {wait: 300ms}
  - last: {set: 2}
"""
    old = await site.finish((await site.start("timed", text))["id"])
    fork = await site.client.fork(old["id"], from_step="pause", inputs=None)
    await site.finish(fork["id"])
    recorded = await site.application.journal.recorded(site.ctx, fork["id"])
    before = await site.application.journal.recorded(site.ctx, old["id"])
    timers = [key for key in before if key.startswith("pause#wait")]
    assert timers
    assert all(recorded[key].result != before[key].result for key in timers)


async def test_a_branch_under_way_is_done_again_whole(site: Site) -> None:
    text = """
do:
  - both:
      fork:
        slow: {do: [{early: {set: 1}}, {told: {listen: {signal: go}}}, {late: {set: "${told}"}}]}
        quick: {do: [{hold: {listen: {signal: hold}}}, {mark: {set: 2}}]}
      join: all
outputs: {late: "${both.slow}"}
"""
    run = await site.start("branches", text)
    await site.happened(run["id"], "step.started", path="both/slow/told")
    await site.happened(run["id"], "step.started", path="both/quick/hold")
    await site.client.signal(run["id"], "hold", {})
    await site.happened(run["id"], "step.completed", path="both/quick/mark")
    await site.client.signal(run["id"], "go", {"n": 1})
    old = await site.finish(run["id"])
    fork = await site.client.fork(old["id"], from_step="both/quick/mark", inputs=None)
    # `told` was under way when `mark` began: it listens again, and `hold` was finished and does not.
    await site.happened(fork["id"], "step.started", path="both/slow/told")
    await site.client.signal(fork["id"], "go", {"n": 2})
    done = await site.finish(fork["id"])
    assert done["outputs"] == {"late": {"n": 2}}
    started = {event["path"] for event in await site.events(fork["id"]) if event["type"] == "step.started"}
    assert "both/slow/early" not in started
    assert "both/quick/hold" not in started


async def test_one_turn_of_a_loop_is_done_again(site: Site) -> None:
    text = """
policies: {exec: allow}
do:
  - all: {for: {each: n, in: [0, 1, 2], parallel: 1}, do: [{at: {run: 'date +%s%N'}}]}
outputs: {times: "${all.map(x, x.stdout)}"}
"""
    old = await site.finish((await site.start("turns", text))["id"])
    done = await site.finish((await site.client.fork(old["id"], from_step="all[1]/at", inputs=None))["id"])
    first, second, third = done["outputs"]["times"]
    assert first == old["outputs"]["times"][0]
    assert second != old["outputs"]["times"][1]
    assert third != old["outputs"]["times"][2]

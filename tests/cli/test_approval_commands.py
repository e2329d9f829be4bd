"""`mosaic approvals` and the question at the terminal, as a person and a script use them."""

import json
from pathlib import Path

import pytest

from mosaic.core.values import JsonObject
from tests.app.site import command, database, open_site, settings_of, write_workflow
from tests.cli.process import start

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

WRITE = """
policies: {write: ask}
do:
  - write: {tool: files.write, with: {path: src/a.txt, content: hello}}
  - read: {tool: files.list, with: {}}
outputs: {files: "${read}"}
"""
TIMED = "do:\n  - sure: {ask: {question: Ship it?, roles: [lead, owner], timeout: 3h, on_timeout: approve}}\n"
PROMPT = "Approve? [y]es, [n]o, [e]dit, for this [r]un, [a]lways, [d]etails: "


@pytest.fixture
def write(tmp_path: Path) -> str:
    return str(write_workflow(tmp_path / "write", WRITE))


@pytest.fixture
def editor(tmp_path: Path) -> Path:
    """An editor that changes the path in what it is given."""
    script = tmp_path / "editor.sh"
    script.write_text('#!/bin/sh\nsed -i s:src/a.txt:docs/b.txt: "$1"\n')
    script.chmod(0o755)
    return script


async def waiting(home: Path, flow: str) -> tuple[str, str]:
    """Run a workflow up to its question; return the run and the approval."""
    status, out, err = await command("run", flow, "--json", home=home)
    assert status == 3, err
    last: JsonObject = json.loads(out.splitlines()[-1])
    return last["run_id"], last["approvals"][0]


async def files_of(home: Path, run_id: str) -> str:
    """Let a run go on to its end; return the files it made."""
    status, out, err = await command("runs", "watch", run_id, "--json", home=home)
    assert status == 0, err
    return json.dumps(json.loads(out.splitlines()[-1])["outputs"])


async def test_the_list_says_since_when_until_when_how_risky_and_who(
    home: Path, tmp_path: Path, write: str
) -> None:
    _, risky = await waiting(home, write)
    await waiting(home, str(write_workflow(tmp_path / "timed", TIMED)))
    status, out, _ = await command("approvals", "list", home=home)
    assert status == 0
    head, first, second = out.splitlines()
    assert head.split() == [
        "APPROVAL", "STATUS", "ASKED", "DEADLINE", "RISK", "WHO", "MAY", "ANSWER", "WHAT", "RUN",
    ]  # fmt: skip
    assert risky in first
    assert "none" in first
    assert "generative" in first
    assert "any person" in first
    assert "in 2 h, then approve" in second
    assert "lead or owner" in second
    status, out, _ = await command("approvals", "list", "--json", home=home)
    assert {json.loads(line)["quorum"] for line in out.splitlines()} == {1}


async def test_arguments_are_edited_in_the_editor_and_shown_with_what_they_would_do(
    home: Path, write: str, editor: Path
) -> None:
    run_id, approval = await waiting(home, write)
    status, out, err = await command(
        "approvals", "approve", approval, "--edit", home=home, env={"EDITOR": str(editor), "VISUAL": ""}
    )
    assert status == 0, err
    assert out.strip() == f"{approval}  approved"
    assert "With the edited arguments:" in err
    assert "docs/b.txt" in err
    assert "+hello" in err
    assert "docs" in (files := await files_of(home, run_id))
    assert "src" not in files


async def test_single_arguments_are_changed_and_must_fit(home: Path, write: str) -> None:
    run_id, approval = await waiting(home, write)
    status, _, err = await command("approvals", "approve", approval, "--set", "path=7", home=home)
    assert status != 0
    assert "do not fit" in err
    status, _, err = await command("approvals", "approve", approval, "--set", "path=new.txt", home=home)
    assert status == 0, err
    assert "new.txt" in await files_of(home, run_id)


async def test_a_yes_for_longer_is_shown_before_it_is_kept(home: Path, write: str) -> None:
    _, approval = await waiting(home, write)
    lasting = ("approvals", "approve", approval, "--for", "always")
    status, _, err = await command(*lasting, "--match", "path=lib/**", home=home)
    assert status != 0
    assert "which is not like lib/**" in err
    status, out, err = await command(*lasting, "--match", "path=src/**", home=home)
    assert status == 0, err
    assert (
        "files.write with path like src/**, content anything runs without asking until the rule is revoked"
        in err
    )
    assert f"{approval}  approved, from now on by the rule " in out
    status, _, err = await command("approvals", "show", approval, home=home)
    assert "says yes" in err


async def test_many_are_answered_at_once_and_one_that_fails_keeps_no_other_back(
    home: Path, write: str
) -> None:
    approvals = [(await waiting(home, write))[1] for _ in range(2)]
    status, out, err = await command(
        "approvals", "approve", approvals[0], "apr_nothing", approvals[1], home=home
    )
    assert status == 1
    assert "apr_nothing" in err
    assert out.splitlines() == [f"{approval}  approved" for approval in approvals]
    status, _, err = await command("approvals", "approve", *approvals, "--set", "path=x", home=home)
    assert status != 0
    assert "Name one ID" in err


async def test_a_person_edits_and_then_agrees_at_the_terminal(home: Path, write: str, editor: Path) -> None:
    env = {"EDITOR": str(editor), "VISUAL": ""}
    async with start("run", write, home=home, terminal=True, env=env) as run:
        await run.shows(PROMPT)
        run.type("e\n")
        shown = await run.shows(PROMPT)
        assert "With the edited arguments:" in shown
        assert "+hello" in shown
        run.type("y\n")
        status, out, _ = await run.ended()
    assert status == 0
    assert "docs" in out


async def test_a_person_agrees_for_the_run_after_seeing_for_what(home: Path, write: str) -> None:
    async with start("run", write, home=home, terminal=True) as run:
        await run.shows(PROMPT)
        run.type("r\n")
        await run.shows("For which calls")
        run.type("path=lib/**\n")
        assert "not like lib/**" in await run.shows(PROMPT)
        run.type("r\n")
        await run.shows("For which calls")
        run.type("path=src/**\n")
        shown = await run.shows("Keep this rule? [y]es, [n]o: ")
        assert "for the rest of this run" in shown
        run.type("n\n")
        await run.shows(PROMPT)
        run.type("a\n")
        await run.shows("For which calls")
        run.type("\n")
        assert "until the rule is revoked" in await run.shows("Keep this rule? [y]es, [n]o: ")
        run.type("y\n")
        assert (await run.ended())[0] == 0
    _, out, _ = await command("approvals", "list", "--all", "--json", home=home)
    (found,) = [json.loads(line) for line in out.splitlines()]
    assert (found["scope"], found["votes"][0]["scope"]) == ("always", "always")


TWICE = """
policies: {write: ask}
do:
  - one: {tool: files.write, with: {path: src/a.txt, content: hello}}
  - two: {tool: files.write, with: {path: src/b.txt, content: other}}
  - three: {tool: files.write, with: {path: lib/c.txt, content: other}}
"""


async def test_after_a_yes_for_the_run_calls_like_it_pass_and_others_still_ask(
    home: Path, tmp_path: Path
) -> None:
    run_id, approval = await waiting(home, str(write_workflow(tmp_path / "twice", TWICE)))
    status, _, err = await command(
        "approvals", "approve", approval, "--for", "run", "--match", "path=src/**", home=home
    )
    assert status == 0, err
    status, out, _ = await command("runs", "watch", run_id, "--json", home=home)
    assert status == 3
    (other,) = json.loads(out.splitlines()[-1])["approvals"]
    _, out, _ = await command("approvals", "show", other, "--json", home=home)
    assert json.loads(out)["detail"]["arguments"]["path"] == "lib/c.txt"


async def test_the_commands_do_the_same_beside_a_server(
    home: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    home.mkdir()
    with database(request, "sqlite", tmp_path) as url:
        settings = settings_of(home, url)
        async with open_site(settings, tmp_path, http=True) as site:
            run = await site.start("beside", WRITE)
            approval = (await site.asked(run["id"]))["id"]
            env = {"MOSAIC_DATABASE_URL": url}
            status, out, err = await command("approvals", "list", home=home, env=env)
            assert status == 0, err
            assert approval in out
            status, out, err = await command("approvals", "webhooks", home=home, env=env)
            assert (status, out.strip()) == (0, "The settings name no webhook: approvals.webhooks.")
            status, out, err = await command(
                "approvals", "approve", approval, "--set", "path=z.txt", "--for", "run", home=home, env=env
            )
            assert status == 0, err
            assert out.startswith(f"{approval}  approved, from now on by the rule ")
            done = await site.finish(run["id"])
    assert "z.txt" in json.dumps(done["outputs"])


async def test_who_must_not_agree_alone_waits_for_the_others_at_the_terminal(
    home: Path, tmp_path: Path
) -> None:
    text = (
        "do:\n  - sure: {ask: {question: Ship it?, quorum: 2, on_reject: continue}}\n"
        "outputs: {yes: '${sure.approved}'}\n"
    )
    async with start("run", str(write_workflow(tmp_path / "two", text)), home=home, terminal=True) as run:
        await run.shows("[d]etails: ")
        run.type("y\n")
        await run.shows("Answer (optional): ")
        run.type("\n")
        shown = await run.shows("It waits for others: 2 people (any person) must say yes; 0 yes, 0 no")
        assert "somebody else must agree" in shown
        _, out, _ = await command("approvals", "list", "--json", home=home)
        await command("approvals", "reject", json.loads(out)["id"], home=home)
        status, out, _ = await run.ended()
    assert status == 0
    assert "false" in out


async def test_watching_shows_what_waits_and_then_what_happens(home: Path, write: str) -> None:
    _, first = await waiting(home, write)
    async with start("approvals", "watch", home=home) as watch:
        assert f"waits     {first}" in await watch.line()
        await command("approvals", "reject", first, home=home)
        line = await watch.line()
        assert line.startswith(f"rejected  {first}")
        assert "by user:owner" in line
        _, second = await waiting(home, write)
        assert (await watch.line()).startswith(f"asked     {second}")

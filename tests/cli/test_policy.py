"""`mosaic policy`, as a process, and both clients behind it: check, test, explain, rules, revoke, versions."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from textwrap import dedent

import pytest

from mosaic.api import policy_schemas as documents
from mosaic.core.errors import InvalidInput, NotFound
from mosaic.core.values import JsonObject
from tests.app.site import Site, database, open_site, settings_of
from tests.cli.process import start

pytestmark = pytest.mark.anyio

POLICY = dedent("""\
    rules:
      - name: no-secrets
        effect: deny
        match: {tool: "files.*", path: "secrets/**"}
        reason: they are nobody's business
      - name: tidy
        effect: allow
        match: {tool: files.delete, path: "tmp/**"}
    limits:
      shell.run: {concurrency: 2}
    """)
CASES = dedent("""\
    cases:
      - name: secrets stay
        call: {tool: files.write, arguments: {path: secrets/a, content: x}, agent: coder}
        expect: {decision: deny, rule: no-secrets}
      - name: tmp may go
        call: {tool: files.delete, arguments: {path: tmp/a}}
        expect: allow
      - name: the rest is asked about
        call: {tool: files.delete, arguments: {path: src/a}}
        expect: ask
      - name: nobody is there
        call: {tool: files.delete, arguments: {path: src/a}, policies: {ask: deny}}
        expect: deny
      - name: unknown tools are destructive
        call: {tool: never.heard.of}
        expect: ask
      - name: unless their risk is told
        call: {tool: never.heard.of, risk: read_only}
        expect: allow
    """)


async def mosaic(home: Path, *args: str) -> tuple[int, str, str]:
    async with start("policy", *args, home=home) as process:
        return await process.ended()


@pytest.fixture
def policy_home(home: Path) -> Path:
    home.mkdir(parents=True)
    (home / "policy.yaml").write_text(POLICY)
    return home


async def test_check_says_everything_that_is_wrong_at_its_place(policy_home: Path) -> None:
    status, out, _ = await mosaic(policy_home, "check")
    assert (status, out.count("valid, 2 rules")) == (0, 1)
    (policy_home / "policy.yaml").write_text(
        "rules:\n  - {name: a, effect: denny}\n  - {nam: b, effect: ask}\n"
    )
    status, out, _ = await mosaic(policy_home, "check")
    assert status == 2
    assert out.splitlines() == [
        f"{policy_home}/policy.yaml:2:23: expected one of allow, ask, deny, not `denny` (did you mean `deny`?)",
        f"{policy_home}/policy.yaml:3:5: `name` is missing here",
        f"{policy_home}/policy.yaml:3:6: unknown key `nam` (did you mean `name`?)",
    ]
    status, out, _ = await mosaic(policy_home, "check", "--json")
    assert status == 2
    assert [problem["line"] for problem in json.loads(out)["problems"]] == [2, 3, 3]


async def test_check_notes_what_has_no_effect(policy_home: Path) -> None:
    (policy_home / "policy.yaml").write_text("rules: [{name: a, effect: allow, match: {tool: 'x.*'}}]")
    status, out, _ = await mosaic(policy_home, "check")
    assert status == 0
    assert "a allows, but names no tool in full: it lifts no question." in out


async def test_test_passes_when_every_call_becomes_what_is_expected(policy_home: Path) -> None:
    (policy_home / "policy-tests.yaml").write_text(CASES)
    status, out, err = await mosaic(policy_home, "test")
    assert (status, out, err) == (0, "6 passed, 0 failed\n", "")


async def test_test_shows_a_diff_and_fails_when_one_does_not(policy_home: Path, tmp_path: Path) -> None:
    cases = tmp_path / "mine.yaml"
    cases.write_text(
        "cases:\n"
        "  - {name: right, call: {tool: files.read, arguments: {path: a}}, expect: allow}\n"
        "  - name: wrong\n"
        "    call: {tool: files.read, arguments: {path: secrets/a}}\n"
        "    expect: {decision: ask, rule: other}\n"
    )
    status, out, _ = await mosaic(policy_home, "test", str(cases))
    assert status == 1
    assert out.splitlines() == [
        f"FAILED wrong ({cases}:3)",
        "  - decision: ask",
        "  + decision: deny",
        "  - rule: other",
        "  + rule: no-secrets",
        "    because: the rule no-secrets (they are nobody's business)",
        "1 passed, 1 failed",
    ]


async def test_test_names_what_is_wrong_in_the_cases(policy_home: Path) -> None:
    cases = policy_home / "policy-tests.yaml"
    cases.write_text("cases:\n  - {name: a, call: {tool: x, policies: {exek: deny}}, expect: maybe}\n")
    status, _, err = await mosaic(policy_home, "test")
    assert status == 2
    assert f"{cases}:2:64: `maybe` does not fit here" in err
    cases.write_text("cases:\n  - {name: a, call: {tool: x, policies: {exek: deny}}, expect: ask}\n")
    status, _, err = await mosaic(policy_home, "test")
    assert status == 2
    assert f"{cases}:2:48: unknown policy 'exek' (did you mean exec?)" in err
    cases.unlink()
    status, _, err = await mosaic(policy_home, "test")
    assert (status, "There is no policy-tests.yaml" in err) == (1, True)


async def test_explain_tells_which_rule_decided_and_what_would_have_to_change(policy_home: Path) -> None:
    status, out, _ = await mosaic(
        policy_home,
        "explain",
        "files.write",
        "--arg",
        "path=secrets/a",
        "--arg",
        "content=x",
        "--agent",
        "coder",
    )
    assert status == 0
    first, *rest = out.splitlines()
    assert first == "files.write is refused: the rule no-secrets (they are nobody's business)."
    assert "-> deny  no-secrets fits" in rest
    assert "   allow tidy does not fit: tool files.write is not files.delete" in rest
    assert rest[-1] == (
        f"to change it: Narrow, change or remove the rule no-secrets ({policy_home}/policy.yaml:2)."
    )


async def test_explain_can_be_asked_of_a_draft(policy_home: Path, tmp_path: Path) -> None:
    draft = tmp_path / "draft.yaml"
    draft.write_text("rules: [{name: drafted, effect: deny, match: {tool: files.read}}]")
    status, out, _ = await mosaic(policy_home, "explain", "files.read", "--policy", str(draft), "--json")
    assert status == 0
    assert json.loads(out)["policy"]["rule"] == "drafted"


async def test_rules_versions_and_revoke_say_what_there_is(policy_home: Path) -> None:
    status, out, _ = await mosaic(policy_home, "rules")
    assert status == 0
    assert "no-secrets" in out
    assert "There are no standing rules" in out
    status, out, _ = await mosaic(policy_home, "versions", "--json")
    current = json.loads(out)["current"]
    assert [item["version"] for item in json.loads(out)["items"]] == [current]
    status, out, _ = await mosaic(policy_home, "versions", current[7:19])
    assert out == f"# policy.yaml of {current}\n{POLICY}\n"
    status, _, err = await mosaic(policy_home, "revoke", "trl_none")
    assert (status, "There is no standing rule 'trl_none'" in err) == (1, True)


# -- both clients -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["local-sqlite", "http-sqlite"])
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """One installation with a policy, for all tests below."""
    door, kind = request.param.split("-")
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "home").mkdir()
    (folder / "home" / "policy.yaml").write_text(POLICY)
    with database(request, kind, folder) as url:
        async with open_site(settings_of(folder / "home", url), folder, http=door == "http") as site:
            yield site


async def test_the_policy_in_force_is_shown(site: Site) -> None:
    shown = await site.client.policy()
    documents.PolicyDocument.model_validate(shown)
    assert [rule["name"] for rule in shown["rules"]] == ["no-secrets", "tidy"]
    assert shown["version"].startswith("sha256:")
    assert shown["limits"] == [
        {"tool": "shell.run", "requests_per_minute": None, "concurrency": 2, "tenants": []}
    ]


async def test_a_call_is_explained_alike(site: Site) -> None:
    wanted: JsonObject = {"tool": "files.delete", "arguments": {"path": "src/a"}, "agent": "coder"}
    shown = await site.client.explain_policy(wanted)
    documents.ExplainedCall.model_validate(shown)
    assert (shown["decision"], shown["layers"]["by_default"]) == ("ask", True)
    assert (
        shown["to_change"][0] == "An allow rule that names the tool in full: `match: {tool: files.delete}`."
    )
    shown = await site.client.explain_policy({**wanted, "arguments": {"path": "tmp/a"}})
    assert (shown["decision"], shown["policy"]["rule"]) == ("allow", "tidy")
    shown = await site.client.explain_policy({"tool": "files.delte"})
    assert "did you mean files.delete" in shown["notes"][0]
    with pytest.raises(InvalidInput):
        await site.client.explain_policy({"tool": "x", "files": {"passwd": ""}})


async def test_files_are_checked_and_tested_alike(site: Site) -> None:
    shown = await site.client.check_policy({"files": {"policy.yaml": "rules: [{name: x}]"}})
    documents.CheckedPolicy.model_validate(shown)
    assert [(problem["file"], problem["line"]) for problem in shown["problems"]] == [("policy.yaml", 1)]
    shown = await site.client.test_policy({"cases": CASES})
    documents.TestedPolicy.model_validate(shown)
    assert (shown["passed"], shown["failed"]) == (6, 0)
    shown = await site.client.test_policy({"cases": CASES, "files": {"policy.yaml": "rules: []"}})
    assert [item["name"] for item in shown["items"] if not item["passed"]] == ["secrets stay", "tmp may go"]
    with pytest.raises(InvalidInput):
        await site.client.test_policy({"cases": "cases: [{}]"})


async def test_an_answer_for_always_becomes_a_rule_that_is_listed_explained_and_revoked(site: Site) -> None:
    application = site.application
    async with application.database.transaction() as tx:
        rule = await application.standing_rules.remember(
            tx,
            site.ctx,
            tool="files.delete",
            arguments={"path": {"like": "old/**"}},
            scope="always",
            run_id="run_1",
            approval_id="apr_1",
        )
    listed = await site.client.policy_rules()
    documents.PolicyRulesPage.model_validate(listed)
    assert [kept["id"] for kept in listed["standing"]] == [rule]
    wanted: JsonObject = {"tool": "files.delete", "arguments": {"path": "old/a"}}
    shown = await site.client.explain_policy(wanted)
    assert (shown["decision"], shown["standing"]) == ("allow", rule)
    assert shown["to_change"] == [f"`mosaic policy revoke {rule}` makes it ask again."]
    revoked = await site.client.revoke_policy_rule(rule)
    documents.StandingRuleDocument.model_validate(revoked)
    assert (await site.client.explain_policy(wanted))["decision"] == "ask"
    assert (await site.client.policy_rules())["standing"] == []
    assert [kept["id"] for kept in (await site.client.policy_rules(revoked=True))["standing"]] == [rule]
    with pytest.raises(NotFound):
        await site.client.revoke_policy_rule("trl_none")


async def test_versions_are_listed_and_shown_alike(site: Site) -> None:
    shown = await site.client.policy_versions()
    documents.PolicyVersionPage.model_validate(shown)
    kept = await site.client.policy_version(shown["current"])
    documents.PolicyVersionFiles.model_validate(kept)
    assert kept["content"] == {"policy.yaml": POLICY}
    with pytest.raises(NotFound):
        await site.client.policy_version("sha256:" + "0" * 64)


async def test_a_run_is_judged_by_the_policy_in_force(site: Site) -> None:
    home = site.application.settings.home
    text = "do:\n  - act: {run: 'true'}\n"
    frozen = "  - {name: frozen, effect: deny, match: {workflow: 'deploy-*', tool: shell.run}}\n"
    before = (await site.client.policy())["version"]
    (home / "policy.yaml").write_text(POLICY.replace("limits:", f"{frozen}limits:"))
    try:
        site.application.judge.load()
        run = await site.finish((await site.start("deploy_web", text))["id"])
        assert run["status"] == "failed"
        (denied,) = [event for event in await site.events(run["id"]) if event["type"] == "tool.denied"]
        shown = await site.client.policy()
        assert shown["version"] != before
        assert denied["data"]["policy"] == {"version": shown["version"], "rule": "frozen"}
        run = await site.finish((await site.start("other", text))["id"])
        assert run["status"] == "succeeded"
    finally:
        (home / "policy.yaml").write_text(POLICY)
        site.application.judge.load()

"""`mosaic routes`: works from the files of an installation, without a server and without a key."""

import json
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner, Result

from mosaic.cli.main import group
from mosaic.core.errors import InvalidInput
from tests.routing.desk import ask, target

ROUTES = """
default: fast
targets:
  "ollama:*": {local: true, capacity: 4, context_tokens: 200000}
  "openai:*": {region: us, residency: [us]}
  github: {kind: git}
routes:
  fast:
    targets: [openai:gpt-5-mini, ollama:qwen3]
    strategy: cheapest
    fallback: [local]
  local: {targets: ["ollama:*"], strategy: ordered, learned: shadow}
  nowhere: {targets: [nobody:knows]}
rules:
  - {name: house, priority: 3, match: {project: "internal-*"}, require: {privacy: strict}, reason: "stays here"}
  - {name: long, when: "${request.input_tokens > 50000}", route: local}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MOSAIC_HOME", raising=False)
    home = tmp_path / ".mosaic"
    home.mkdir()
    (home / "routes.yaml").write_text(dedent(ROUTES))
    return home


def mosaic(site: Path, *args: str) -> Result:
    return CliRunner().invoke(group, ["--home", str(site), "routes", *args])


def test_the_list_shows_routes_with_their_targets_and_the_rules(site: Path) -> None:
    done = mosaic(site, "list")
    assert done.exit_code == 0, done.output
    for part in (
        "fast",
        "cheapest",
        "openai:gpt-5-mini, ollama:qwen3",
        "house (3): requirements, stays here",
        "long (0): route local",
    ):
        assert part in done.output
    shown = json.loads(mosaic(site, "list", "--json").output)
    assert [row["name"] for row in shown["routes"]] == ["fast", "local", "nowhere"]
    assert shown["routes"][1]["learned"] == "shadow"


def test_explain_says_where_a_request_goes_and_why(site: Path) -> None:
    done = mosaic(site, "explain", "fast", "--project", "internal-web")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0] == "ollama:qwen3 takes this request."
    assert "Rule house: holds (stays here)." in done.output
    assert "Required: strict privacy, local targets only (rule house)." in done.output
    assert "Not openai:gpt-5-mini: strict privacy keeps the request on local targets" in done.output
    shown = json.loads(mosaic(site, "explain", "gpt-5-mini", "--input-tokens", "60000", "--json").output)
    assert (shown["decision"]["target"], shown["decision"]["rule"]) == ("ollama:qwen3", "long")


def test_explain_takes_everything_that_a_request_can_say(site: Path) -> None:
    done = mosaic(
        site, "explain", "fast", "--tenant", "t", "--project", "p", "--operation", "chat", "--agent", "a", "--key", "k",
        "--need", "tools", "--residency", "us", "--attribute", "size=3", "--attribute", "name=x", "--session", "s",
        "--region", "us", "--budget-usd", "1", "--at", "2026-11-20T10:00:00+01:00", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    decision = json.loads(done.output)["decision"]
    assert decision["target"] == "openai:gpt-5-mini"
    assert decision["request"]["attributes"] == {"size": 3, "name": "x"}
    assert decision["request"]["budget_left_nanos"] == 10**9
    assert decision["at"] == "2026-11-20T10:00:00+01:00"


def test_explain_of_a_request_that_nobody_may_take_ends_with_status_1(site: Path) -> None:
    done = mosaic(site, "explain", "openai:gpt-5-mini", "--privacy", "strict")
    assert done.exit_code == 1
    assert done.output.startswith("Nobody takes this request.")
    assert mosaic(site, "explain", "x", "--attribute", "novalue").exit_code == 2
    assert mosaic(site, "explain", "x", "--at", "noon").exit_code == 2


def test_other_kinds_are_explained_too(site: Path) -> None:
    assert mosaic(site, "explain", "github", "--kind", "git").output.startswith("github takes this request.")


def test_check_names_every_mistake_and_every_route_that_leads_nowhere(site: Path, tmp_path: Path) -> None:
    done = mosaic(site, "check")
    assert done.exit_code == 0, done.output
    assert "! nowhere leads nowhere" in done.output
    assert "valid, 3 routes, 2 rules" in done.output
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("routes: {a: {targets: x:y, strategy: cheepest}}\n")
    refused = mosaic(site, "check", "--file", str(wrong))
    assert isinstance(refused.exception, InvalidInput)
    told = [
        json.loads(line) for line in mosaic(site, "check", "--file", str(wrong), "--json").output.splitlines()
    ]
    assert (told[0]["line"], told[0]["column"], told[0]["suggestion"]) == (1, 38, "did you mean `cheapest`?")
    assert told[-1] == {"type": "result", "valid": False, "problems": 1}


def test_an_installation_without_routes_says_how_to_begin(tmp_path: Path) -> None:
    done = mosaic(tmp_path, "list")
    assert done.exit_code == 0, done.output
    assert "No routes yet" in done.output
    assert mosaic(tmp_path, "explain", "ollama:qwen3").output.startswith("ollama:qwen3 takes this request.")


def test_report_learns_from_a_history_and_keeps_what_it_learned(site: Path, tmp_path: Path) -> None:
    from tests.routing.desk import Desk

    made = Desk("routes: {r: {targets: [x:a, x:b], strategy: round-robin}}", [target("x:a"), target("x:b")])
    lines = []
    for _ in range(200):
        decision = made.router.decide(ask())
        outcome = {"ok": decision.target.id == "x:a", "latency_s": 1.0}
        lines.append(json.dumps({"decision": decision.to_json(), "outcome": outcome}))
    history, state = tmp_path / "history.jsonl", tmp_path / "learned.json"
    history.write_text("\n".join(lines))
    done = mosaic(site, "report", "--history", str(history), "--save", str(state))
    assert done.exit_code == 0, done.output
    assert "AGREEMENT" in done.output
    shown = json.loads(mosaic(site, "report", "--state", str(state), "--json").output)["routes"]["r"]
    assert shown["requests"] == 200
    assert shown["mean_reward_when_agreed"] > shown["mean_reward"]
    assert mosaic(site, "report").exit_code == 2


def test_the_page_shows_what_explain_really_says(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/howto/route-models.md").read_text()
    (tmp_path / "routes.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
    done = mosaic(tmp_path, "explain", "fast", "--project", "internal-wages")
    assert done.output == page.split("```text\n")[1].split("```")[0]

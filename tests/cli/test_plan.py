"""`mosaic plan`: both clients tell the same, and the commands do it in processes of their own."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mosaic.api import plan_schemas as documents
from mosaic.core.errors import Conflict, InvalidInput, NotFound, error_from_json
from mosaic.core.values import JsonObject
from tests.app.site import Site, command, database, open_site, settings_of, write_workflow
from tests.architecture.sources import ROOT
from tests.planning.conftest import SMALL, A, B, D, done

pytestmark = pytest.mark.anyio

EXAMPLE = str(Path(ROOT) / "examples" / "plans" / "checkout.yaml")
SET = "do:\n  - a: {set: {x: 1}}\n"


@pytest.fixture(scope="module", params=["local-sqlite", "http-sqlite", "local-postgresql"])
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """One installation for the tests of both clients."""
    door, kind = request.param.split("-")
    folder = tmp_path_factory.mktemp(request.param)
    with database(request, kind, folder) as url:
        async with open_site(settings_of(folder / "home", url), folder, http=door == "http") as site:
            yield site


async def test_every_verb_of_plans_is_answered_alike(site: Site) -> None:
    client = site.client
    plan = await client.create_plan({"name": "Small", "operations": SMALL})
    documents.PlanDocument.model_validate(plan)
    assert (await client.plans(limit=1))["items"][0]["id"] == plan["id"]
    renamed = await client.update_plan(plan["id"], {"name": "Other"}, base_version=1)
    assert (renamed["name"], renamed["version"]) == ("Other", 2)
    seen = await client.change_plan(plan["id"], {"operations": [done(A)], "base_version": 2}, dry_run=True)
    documents.ChangeDocument.model_validate(seen)
    made = await client.change_plan(plan["id"], {"operations": [done(A)], "note": "Ready"})
    assert (made["version"], made["note"], seen["id"]) == (3, "Ready", None)
    with pytest.raises(Conflict) as refused:
        await client.change_plan(plan["id"], {"operations": [done(B)], "base_version": 1})
    assert (refused.value.code, refused.value.data["version"]) == ("stale_plan", 3)
    page = await client.plan_items(plan["id"], status=["ready"], kind=["task"], fields=["key"])
    assert [item["key"] for item in page["items"]] == [B, "T.001.01.01.03"]
    assert (await client.plan_item(plan["id"], B))["status"] == "ready"
    documents.GraphDocument.model_validate(await client.plan_graph(plan["id"]))
    history = await client.plan_changes(plan["id"])
    assert [change["version"] for change in history["items"]] == [3, 2, 1]
    undone = await client.undo_change(plan["id"], made["id"], {"note": "Not yet"})
    assert undone["undoes"] == made["id"]
    exported = await client.export_plan(plan["id"])
    copy = await client.create_plan({"document": exported["document"]})
    assert (copy["name"], copy["items"]) == ("Other", plan["items"])
    assert await client.remove_plan(copy["id"], base_version=1) == {"id": copy["id"], "removed": True}
    with pytest.raises(NotFound):
        await client.plan(copy["id"])
    with pytest.raises(InvalidInput):
        await client.create_plan({"name": " "})
    await site.finish((await site.start("known", SET))["id"])
    started = await client.run_item(plan["id"], A, {"workflow": "known", "inputs": {}})
    documents.ItemRun.model_validate(started)
    await site.finish(started["run"]["id"])


async def mosaic(home: Path, *args: str, status: int = 0) -> tuple[str, str]:
    ended, out, err = await command("plan", *args, home=home)
    assert ended == status, err + out
    return out, err


async def shown(home: Path, *args: str, status: int = 0) -> JsonObject:
    out, _ = await mosaic(home, *args, "--json", status=status)
    value: JsonObject = json.loads(out.splitlines()[-1])
    return value


@pytest.mark.slow
async def test_a_plan_is_imported_and_shown_as_a_tree_and_a_path(home: Path) -> None:
    out, err = await mosaic(home, "import", EXAMPLE)
    plan = out.strip()
    assert "81 items" in err
    out, _ = await mosaic(home, "list")
    assert "Checkout relaunch" in out
    out, _ = await mosaic(home, "show", "checkout relaunch", "--levels", "2")
    lines = out.splitlines()
    assert "░░░░░░░░░░ 0%" in lines[1]
    assert any("E.001 One-page checkout ◆" in line for line in lines)
    assert not any("S.001" in line for line in lines)
    out, _ = await mosaic(home, "show", plan, "S.001.01.01", "--tree")
    assert "after T.001.01.01.01" in out
    out, _ = await mosaic(home, "show", plan, "T.001.01.01.02")
    assert "waits for T.001.01.01.01" in out
    out, _ = await mosaic(home, "path", plan)
    assert out.splitlines()[-1].startswith("T.003.02.02.03")


@pytest.mark.slow
async def test_a_change_is_reviewed_made_and_taken_back(home: Path) -> None:
    plan = (await shown(home, "import", EXAMPLE))["id"]
    adding = ["add", plan, "Gift cards", "--under", "S.002.01.02", "--hours", "90", "--usd", "4", "--depends-on",
              "T.002.01.02.01", "--label", "web", "--accept", "They work"]  # fmt: skip
    out, err = await mosaic(home, *adding, "--dry-run")
    assert "+ T.002.01.02.05 Gift cards" in out
    assert "finish: 98 h → " in out
    assert "estimate: $129.60 → $133.60" in out
    assert "dry run" in err
    made = await shown(home, *adding, "--note", "Asked for by sales")
    assert (made["version"], made["note"]) == (2, "Asked for by sales")
    moved = await shown(home, "move", plan, "T.002.01.02.05", "--under", "S.001.03.01")
    assert moved["diff"][0]["fields"]["key"]["after"] == "T.001.03.01.05"
    out, _ = await mosaic(home, "diff", plan)
    assert len(out.splitlines()) == 1 + 3
    await mosaic(home, "undo", plan)
    item = await shown(home, "show", plan, "T.002.01.02.05")
    assert item["acceptance"] == [{"text": "They work", "met": False}]


@pytest.mark.slow
async def test_items_are_linked_edited_removed_and_written_to_a_file(home: Path, tmp_path: Path) -> None:
    plan = (await shown(home, "import", EXAMPLE))["id"]
    item = "T.001.03.01.04"
    await mosaic(home, "link", plan, item, "T.001.03.01.02", "T.001.03.01.03")
    unlinked = await shown(home, "unlink", plan, item, "T.001.03.01.02")
    assert len(unlinked["diff"][0]["fields"]["depends_on"]["after"]) == 2
    edited = await shown(
        home, "edit", plan, item, "--status", "blocked", "--reason", "no contract", "--assignee", ""
    )
    assert edited["diff"][0]["fields"]["reason"]["after"] == "no contract"
    assert edited["diff"][0]["fields"]["assignee"]["after"] is None
    gone = await shown(home, "remove", plan, item)
    assert [one["change"] for one in gone["diff"]] == ["removed"]
    file = tmp_path / "out.yaml"
    await mosaic(home, "export", plan, "-o", str(file))
    out, _ = await mosaic(home, "import", str(file), "--check")
    assert "a plan of 80 items" in out
    _, err = await mosaic(home, "remove", plan, status=2)
    assert "--yes" in err
    assert (await shown(home, "remove", plan, "--yes"))["removed"]


@pytest.mark.slow
async def test_errors_say_what_is_wrong_where_and_the_next_step(home: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        "plan: x\nepics:\n  - title: a\n    colour: red\n  - {title: b, depends_on: [E.009]}\n    \n"
    )
    _, err = await mosaic(home, "import", str(wrong), status=2)
    assert f"{wrong}:4:5: There is no field `colour` here." in err
    out, _ = await mosaic(home, "import", str(wrong), "--json", status=2)
    assert [one["line"] for one in json.loads(out)["problems"]] == [4]
    _, err = await mosaic(home, "show", "Nothing", status=1)
    assert "next: " in err
    assert "mosaic plan list" in err
    plan = (await shown(home, "new", "Mine", "--description", "For me"))["id"]
    await mosaic(home, "new", "mine")
    _, err = await mosaic(home, "show", "MINE", status=2)
    assert "2 plans are called 'MINE'" in err
    for call in (["edit", plan, A], ["edit", plan, "--status", "done"], ["move", plan, A]):
        await mosaic(home, *call, status=2)


@pytest.mark.slow
async def test_a_change_set_in_a_file_is_applied_for_its_version(home: Path, tmp_path: Path) -> None:
    plan = (await shown(home, "new", "Mine"))["id"]
    file = tmp_path / "change.json"
    file.write_text(json.dumps({"operations": SMALL, "note": "All", "base_version": 1}))
    assert (await shown(home, "apply", plan, str(file)))["note"] == "All"
    error = error_from_json(await shown(home, "apply", plan, str(file), status=1))
    assert error.code == "stale_plan"
    _, err = await mosaic(home, "link", plan, A, D, status=1)
    assert f"{A} waits for {D}" in err
    for wrong in ("[", '{"colour": 1}', "3"):
        file.write_text(wrong)
        await mosaic(home, "apply", plan, str(file), status=2)


@pytest.mark.slow
async def test_a_run_works_on_an_item_from_the_command_line(home: Path, tmp_path: Path) -> None:
    flow = write_workflow(tmp_path / "flow", SET)
    plan = (await shown(home, "new", "Mine"))["id"]
    file = tmp_path / "change.json"
    file.write_text(json.dumps(SMALL))
    await mosaic(home, "apply", plan, str(file))
    item = await shown(home, "run", plan, A, str(flow))
    assert (item["type"], item["status"], item["runs"][0]["status"]) == ("item", "done", "succeeded")
    out, _ = await mosaic(home, "run", plan, B, "flow")  # by its name: it ran before
    assert "(done)" in out
    _, err = await mosaic(home, "run", plan, D, "flow", status=1)
    assert "waits for S.001.01.01" in err
    _, err = await mosaic(home, "run", plan, D, "flow", "--detach", status=2)
    assert "mosaic up" in err

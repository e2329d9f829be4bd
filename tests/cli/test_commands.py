"""Every command teaches, and meets wrong usage, broken files and broken places with a sentence and the next step."""

import json
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.app.site import command, environment, write_workflow

pytestmark = pytest.mark.anyio

COMMANDS = [
    (),
    ("init",),
    ("up",),
    ("run",),
    ("validate",),
    ("runs",),
    *(
        ("runs", name)
        for name in ("list", "show", "watch", "cancel", "fork", "signal", "logs", "artifact", "dead")
    ),
    ("approvals",),
    *(("approvals", name) for name in ("list", "watch", "show", "approve", "reject", "webhooks")),
    ("agents",),
    ("doctor",),
]
SET = "do:\n  - a: {set: {x: 1}}\n"
HEAVY = ("fastapi", "starlette", "uvicorn", "dbos", "pydantic_ai", "mcp", "alembic", "genai_prices")


@pytest.fixture
def flow(tmp_path: Path) -> str:
    return str(write_workflow(tmp_path / "small", SET))


async def test_every_command_explains_itself(home: Path) -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom mosaic.cli.main import group\n"
        f"for args in {COMMANDS!r}:\n"
        "    done = CliRunner().invoke(group, [*args, '--help'], prog_name='mosaic')\n"
        "    print(repr((args, done.exit_code, done.output)))\n"
    )
    status, out, err = await python(code, home)
    assert status == 0, err
    shown = [eval(line) for line in out.splitlines()]
    assert [args for args, _, _ in shown] == COMMANDS
    for args, code_, text in shown:
        assert code_ == 0, args
        assert text.startswith("Usage: mosaic"), args
        sentence = text.split("\n\n")[1].strip()
        assert len(sentence) > 20, args
        assert sentence[0].isupper(), args
    listed = next(text for args, _, text in shown if not args)
    assert "Exit status: 0 done, 1 failed, 2 wrong usage or input, 3 waiting" in listed


async def python(code: str, home: Path) -> tuple[int, str, str]:
    import asyncio

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=environment(home), cwd=home.parent,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.parametrize(
    "args",
    [["--help"], ["--version"], ["runs", "list"], ["approvals", "list"], ["agents"], ["run", "--help"]],
    ids=" ".join,
)
async def test_a_command_loads_no_more_than_it_needs(home: Path, args: list[str]) -> None:
    # The second time: the first one makes the database, and that needs Alembic.
    code = (
        f"import sys\nsys.argv = ['mosaic', *{args!r}]\nfrom mosaic.cli.main import main\n"
        "for _ in range(2 if 'list' in sys.argv or 'agents' in sys.argv else 1):\n"
        "    before = set(sys.modules)\n"
        "    try: main()\n    except SystemExit as end: assert end.code == 0, end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    status, _, err = await python(code, home)
    assert status == 0, err
    heavy = eval(err.splitlines()[-1])
    assert set(heavy) <= {"alembic"}
    if "--help" in args or "--version" in args:
        assert heavy == []


async def test_a_listing_does_not_load_the_migrations_when_nothing_is_missing(home: Path) -> None:
    assert (await command("runs", "list", home=home))[0] == 0
    code = (
        "import sys\nsys.argv = ['mosaic', 'runs', 'list']\nfrom mosaic.cli.main import main\n"
        "try: main()\nexcept SystemExit as end: assert end.code == 0, end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    status, _, err = await python(code, home)
    assert (status, err.splitlines()[-1]) == (0, "[]")


async def test_a_command_that_does_not_exist_is_answered_with_the_nearest_one(home: Path) -> None:
    for args, meant in (
        (("rnus",), "runs"),
        (("aprovals",), "approvals"),
        (("runs", "lst"), "list"),
        (("run", "--modle"), "--model"),
    ):
        status, out, err = await command(*args, home=home)
        assert (status, out) == (2, "")
        assert meant in err
    status, _, err = await command("xyzzy", home=home)
    assert status == 2
    assert "Commands: init, up, run" in err


async def test_wrong_usage_is_json_too_when_json_is_wanted(home: Path) -> None:
    status, out, err = await command("runs", "list", "--limit", "0", "--json", home=home)
    assert status == 2
    shown = json.loads(out)
    assert (shown["type"], shown["code"]) == ("error", "invalid_input")
    assert "0 is not in the range" in err


async def test_a_workflow_that_is_not_there_is_said_with_the_nearest_file(home: Path, tmp_path: Path) -> None:
    write_workflow(tmp_path / "flows", SET)
    for verb in ("run", "validate"):
        status, _, err = await command(verb, str(tmp_path / "flows" / "workflo.yaml"), home=home)
        assert status == 2
        assert "There is no such file" in err
        assert "workflow.yaml" in err
    assert not home.exists()


async def test_wrong_inputs_are_named_all_at_once(home: Path, tmp_path: Path) -> None:
    text = (
        "inputs: {type: object, required: [goal], properties: {goal: {type: string}, n: {type: integer}}}\n"
        + SET
    )
    flow = str(write_workflow(tmp_path / "strict", text))
    status, out, err = await command("run", flow, "-i", "n=many", "-i", "gaol=x", home=home)
    assert (status, out) == (2, "")
    for expected in ("goal", "gaol", "n"):
        assert expected in err
    status, out, _ = await command("run", flow, "--json", home=home)
    assert status == 2
    assert json.loads(out)["problems"]
    status, _, err = await command("run", flow, "-i", "goal", home=home)
    assert (status, "name=value" in err) == (2, True)


async def test_a_text_input_stays_text_and_a_file_gives_the_rest(home: Path, tmp_path: Path) -> None:
    text = (
        "inputs: {type: object, properties: {version: {type: string}, n: {type: integer}, day: {type: string}}}\n"
        "do:\n  - all: {set: '${inputs}'}\noutputs: {all: '${all}'}\n"
    )
    flow = str(write_workflow(tmp_path / "typed", text))
    file = tmp_path / "inputs.yaml"
    file.write_text("n: 1\nday: 2030-01-31\nversion: 'over'\n")
    status, out, err = await command(
        "run", flow, "--inputs", str(file), "-i", "version=1.10", "--json", home=home
    )
    assert status == 0, err + out
    assert json.loads(out.splitlines()[-1])["outputs"]["all"] == {
        "version": "1.10",
        "n": 1,
        "day": "2030-01-31",
    }
    file.write_text("- a list\n")
    status, _, err = await command("run", flow, "--inputs", str(file), home=home)
    assert (status, "mapping of inputs" in err) == (2, True)


async def test_every_problem_of_several_files_is_explained(home: Path, tmp_path: Path) -> None:
    good = str(write_workflow(tmp_path / "good", SET))
    bad = str(
        write_workflow(
            tmp_path / "bad", "limts: {usd: 1}\ndo:\n  - a: {agent: nobody}\n  - b: {set: '${c}'}\n"
        )
    )
    worse = tmp_path / "worse.yaml"
    worse.write_text("mosaic: v1\n  kind: [\n")
    status, out, err = await command("validate", good, bad, str(worse), home=home)
    assert status == 2
    assert f"{good}: valid" in out
    for expected in ("limts", "limits", "nobody", f"{bad}:4:", f"{worse}:"):
        assert expected in err
    status, out, _ = await command("validate", good, bad, "--json", home=home)
    assert status == 2
    lines = [json.loads(line) for line in out.splitlines()]
    assert {line["type"] for line in lines[:-1]} == {"problem"}
    assert lines[-1] == {"type": "result", "files": 2, "problems": len(lines) - 1, "valid": False}
    assert (await command("validate", good, home=home))[0] == 0


async def test_a_folder_is_prepared_once(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    status, out, err = await command("init", str(folder), home=home)
    assert (status, err) == (0, "")
    made = folder / ".mosaic"
    assert "is ready" in out
    assert (made / "owner-token").stat().st_mode & 0o777 == 0o600
    assert made.stat().st_mode & 0o777 == 0o700
    (made / "config.yaml").write_text("limits: {usd: 1}\n")
    token = (made / "owner-token").read_text()
    status, out, _ = await command("init", str(folder), "--json", home=home)
    assert json.loads(out)["created"] is False
    assert (made / "config.yaml").read_text() == "limits: {usd: 1}\n"
    assert (made / "owner-token").read_text() == token


async def test_the_commented_settings_are_right_when_uncommented(home: Path) -> None:
    from mosaic.app.settings import load_settings

    assert (await command("init", home=home))[0] == 0
    made = home
    text = (made / "config.yaml").read_text()
    lines = [
        line.removeprefix("# ")
        for line in text.splitlines()
        if line.startswith("# ") and ": " in line and "{" in line
    ]
    assert len(lines) >= 10
    (made / "config.yaml").write_text("\n".join(lines))
    assert load_settings(made, environ={}).limits.usd == 5.0


async def test_a_secret_in_the_settings_is_refused_and_never_shown(home: Path, flow: str) -> None:
    home.mkdir()
    (home / "config.yaml").write_text("providers:\n  openai: {api_key: hunter2hunter2hunter2}\n")
    for args in (
        ("runs", "list"),
        ("run", flow),
        ("up", "--port", "0"),
        ("doctor",),
        ("run", flow, "--json"),
    ):
        status, out, err = await command(*args, home=home)
        assert status in (1, 2)
        assert "hunter2" not in out + err
        assert "OPENAI_API_KEY" in out + err
        assert "config.yaml:2:12" in out + err or "--json" in args


async def test_a_data_folder_that_cannot_be_written_is_said(tmp_path: Path, flow: str) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    for args in (("runs", "list"), ("run", flow), ("up", "--port", "0")):
        status, _, err = await command(*args, home=blocked / "home")
        assert status == 1
        assert "cannot be written: Not a directory" in err
        assert "--home" in err
    status, out, _ = await command("doctor", home=blocked / "home")
    assert status == 1
    assert "cannot be written" in out


async def test_a_database_that_is_damaged_or_too_new_is_said(home: Path, flow: str) -> None:
    home.mkdir()
    database = home / "mosaic.db"
    database.write_bytes(b"this is no database" * 1000)
    for args in (("runs", "list"), ("run", flow), ("doctor",)):
        status, out, err = await command(*args, home=home)
        assert status == 1, args
        assert "not a database" in out + err
        assert "Traceback" not in out + err
    database.unlink()
    assert (await command("runs", "list", home=home))[0] == 0
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for args in (("runs", "list"), ("run", flow), ("up", "--port", "0"), ("doctor",)):
        status, out, err = await command(*args, home=home)
        assert status == 1, args
        assert "newer version of MosAIc" in out + err


async def test_a_database_that_somebody_holds_is_said(home: Path, flow: str) -> None:
    env = {"MOSAIC_STORAGE__BUSY_TIMEOUT_MS": "200"}
    assert (await command("runs", "list", home=home))[0] == 0
    connection = sqlite3.connect(home / "mosaic.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        status, _, err = await command("run", flow, home=home, env=env)
        assert status == 1
        assert "locked by" in err
        assert f"process {os.getpid()}" in err
        # Reading is nobody's business but the reader's.
        assert (await command("runs", "list", home=home, env=env))[0] == 0
    finally:
        connection.execute("ROLLBACK")
        connection.close()


async def test_the_doctor_looks_at_everything(home: Path) -> None:
    env = {"MOSAIC_PROVIDERS__OLLAMA__BASE_URL": "http://127.0.0.1:9"}
    status, out, _ = await command("doctor", "--json", home=home, env=env)
    findings = {line["name"]: line for line in map(json.loads, out.splitlines())}
    assert status == 0
    assert set(findings) >= {
        "python",
        "git",
        "settings",
        "data",
        "server",
        "token",
        "sandbox",
        "database",
        "prices",
        "openai",
        "scripted",
    }
    assert "genai-prices" in findings["prices"]["message"]
    assert "127.0.0.1:9" in findings["ollama"]["message"]
    assert findings["openai"]["hint"]
    (home / "owner-token").write_text("t" * 40)
    (home / "owner-token").chmod(0o644)
    status, out, _ = await command("doctor", home=home, env=env)
    assert "can be read by others" in out


async def test_wrong_settings_are_a_finding_of_the_doctor(home: Path) -> None:
    home.mkdir()
    (home / "config.yaml").write_text("serevr: {port: 1}\n")
    status, out, _ = await command("doctor", home=home)
    assert status == 1
    assert "did you mean server?" in out


async def test_an_id_that_does_not_exist_is_said(home: Path) -> None:
    for args in (
        ("runs", "show", "run_x"),
        ("runs", "watch", "run_x"),
        ("runs", "cancel", "run_x"),
        ("approvals", "show", "apr_x"),
        ("runs", "artifact", "art_x"),
    ):
        status, out, err = await command(*args, home=home)
        assert (status, out) == (1, "")
        assert "There is no" in err
    status, out, _ = await command("runs", "show", "run_x", "--json", home=home)
    assert (status, json.loads(out)["code"]) == (1, "not_found")


async def test_a_reader_that_goes_away_is_no_error(home: Path) -> None:
    code = (
        "import os, subprocess, sys\n"
        "first, last = os.pipe()\nos.close(first)\n"
        "done = subprocess.run([sys.executable, '-m', 'mosaic.cli', 'runs', 'list'], stdout=last, stderr=subprocess.PIPE)\n"
        "print(done.returncode, done.stderr.decode(), file=sys.stderr)\n"
    )
    status, _, err = await python(code, home)
    assert (status, err.strip()) == (0, "0")


async def test_a_terminal_that_cannot_show_a_sign_shows_another(home: Path, tmp_path: Path) -> None:
    flow = str(write_workflow(tmp_path / "signs", "do:\n  - a: {set: 'good ✓ 漢'}\noutputs: {a: '${a}'}\n"))
    env = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    status, out, err = await command("run", flow, home=home, env=env)
    assert status == 0, err
    assert "good ? ?" in out

"""Starting out: initialising, settings from files and the environment, and one machine with nothing else running."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.installation import EXAMPLES
from tests.acceptance.test_api import serving

MOSAIC = Path(sys.executable).with_name("mosaic")
KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OLLAMA_HOST", "MOSAIC_HOME")


def mosaic(
    folder: Path, *arguments: Any, status: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder, as a newcomer without keys; fail unless it ends as expected."""
    environment = {name: value for name, value in os.environ.items() if name not in KEYS} | variables
    done = subprocess.run(
        [MOSAIC, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done


def settings_in_force(folder: Path, **variables: str) -> str:
    found = [json.loads(line) for line in mosaic(folder, "doctor", "--json", **variables).stdout.splitlines()]
    (settings,) = [one for one in found if one.get("name") == "settings"]
    return str(settings["message"])


@pytest.mark.requirement("STK-85", "STK-98")
def test_one_command_initialises_a_folder_and_repeating_it_changes_nothing(tmp_path: Path) -> None:
    first = json.loads(mosaic(tmp_path, "init", "--json").stdout.splitlines()[-1])
    home = tmp_path / ".mosaic"
    assert (first["home"], first["created"]) == (str(home), True)
    assert (home / "owner-token").stat().st_mode & 0o077 == 0
    assert (home / ".gitignore").read_text() == "*\n"
    kept = {path: path.read_bytes() for path in home.iterdir() if path.is_file()}
    again = json.loads(mosaic(tmp_path, "init", "--json").stdout.splitlines()[-1])
    assert again["created"] is False
    assert {path: path.read_bytes() for path in kept} == kept
    below = tmp_path / "deep" / "below"
    below.mkdir(parents=True)
    assert str(home) in mosaic(below, "doctor").stdout, "found from a folder below"


@pytest.mark.requirement("ORC-105")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.yaml", "tenant: acme\nproject: site\n"),
        ("config.json", '{"tenant": "acme", "project": "site"}'),
    ],
)
def test_settings_are_read_from_yaml_or_json(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / ".mosaic").mkdir()
    (tmp_path / ".mosaic" / name).write_text(text)
    shown = settings_in_force(tmp_path)
    assert name in shown
    assert "tenant acme, project site" in shown


@pytest.mark.requirement("ORC-106", "MAOS-05")
def test_variables_of_the_environment_win_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".mosaic").mkdir()
    (tmp_path / ".mosaic" / "config.yaml").write_text("tenant: acme\nserver: {port: 1, host: 10.0.0.1}\n")
    assert "tenant other" in settings_in_force(tmp_path, MOSAIC_TENANT="other")
    with serving(tmp_path / ".mosaic", MOSAIC_SERVER__HOST="127.0.0.1") as address:
        assert address.startswith("http://127.0.0.1:")


@pytest.mark.requirement("ORC-107", "STK-100")
def test_wrong_settings_are_refused_with_every_mistake_and_no_secret_is_shown(tmp_path: Path) -> None:
    (tmp_path / ".mosaic").mkdir()
    file = tmp_path / ".mosaic" / "config.yaml"
    file.write_text("tenent: acme\nserver: {port: many}\n")
    refused = mosaic(tmp_path, "runs", "list", status=2)
    said = refused.stdout + refused.stderr
    assert "tenent" in said
    assert "tenant" in said.replace("tenent", "")
    assert "server.port" in said
    secret = "sk-ant-api03-" + "x" * 40
    file.write_text(f"providers: {{anthropic: {{api_key: {secret}}}}}\n")
    refused = mosaic(tmp_path, "runs", "list", status=2)
    assert "ANTHROPIC_API_KEY" in refused.stdout + refused.stderr
    assert secret not in refused.stdout + refused.stderr


@pytest.mark.requirement("STK-30", "STK-33", "ENT-32", "STK-03")
def test_one_machine_runs_a_team_with_sqlite_in_its_folder_and_asks_nobody_else(tmp_path: Path) -> None:
    guard = tmp_path / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(
        "import sys\n"
        "def no_way_out(event, details):\n"
        "    if event == 'socket.connect' and isinstance(details[1], tuple):\n"
        "        host = str(details[1][0])\n"
        "        if not host.startswith('127.') and host not in ('::1', 'localhost'):\n"
        "            open(__file__ + '.caught', 'a').write(host + '\\n')\n"
        "            raise OSError('no way out to ' + host)\n"
        "    if event == 'socket.getaddrinfo' and details[0] not in (None, '127.0.0.1', '::1', 'localhost'):\n"
        "        open(__file__ + '.caught', 'a').write(str(details[0]) + '\\n')\n"
        "        raise OSError('no name service')\n"
        "sys.addaudithook(no_way_out)\n"
        "open(__file__ + '.on', 'w').close()\n"
    )
    path = os.pathsep.join([str(guard), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = mosaic(tmp_path, "run", EXAMPLES / "hello-team", "--json", PYTHONPATH=path)
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["type"], result["status"]) == ("result", "succeeded")
    assert (tmp_path / ".mosaic" / "mosaic.db").is_file()
    assert list(guard.glob("*.on")), "the guard was not there"
    assert not list(guard.glob("*.caught")), "something tried to reach another machine"
    again = mosaic(tmp_path, "runs", "show", result["run_id"], "--json")
    assert json.loads(again.stdout)["outputs"] == result["outputs"]

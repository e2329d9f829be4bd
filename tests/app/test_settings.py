"""Settings come from defaults, a file and the environment, and a wrong or secret one is refused with its place."""

from pathlib import Path

import pytest

from mosaic.app.settings import find_home, load_settings
from mosaic.core.errors import InvalidInput


def write(home: Path, text: str, name: str = "config.yaml") -> Path:
    home.mkdir(exist_ok=True)
    (home / name).write_text(text)
    return home


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, environ={})
    assert settings.server.host == "127.0.0.1"
    assert settings.database_url.startswith("sqlite")


@pytest.mark.requirement("ORC-106")
def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, "server: {port: 9000}\ntenant: acme\n")
    settings = load_settings(tmp_path, environ={"MOSAIC_SERVER__PORT": "9001"})
    assert (settings.server.port, settings.tenant) == (9001, "acme")


@pytest.mark.requirement("ORC-105")
def test_a_json_file_is_read_too(tmp_path: Path) -> None:
    write(tmp_path, '{"engine": {"retry_budget": 3}}', "config.json")
    assert load_settings(tmp_path, environ={}).engine.retry_budget == 3


@pytest.mark.requirement("ORC-107")
def test_every_wrong_key_is_named_with_the_nearest_right_one(tmp_path: Path) -> None:
    write(tmp_path, "serevr: {port: 1}\nserver: {prot: 2}\nengine: {retry_budget: many}\n")
    with pytest.raises(InvalidInput) as caught:
        load_settings(tmp_path, environ={})
    lines = [str(problem) for problem in caught.value.problems]
    assert len(lines) == 3
    assert any("did you mean server?" in line for line in lines)
    assert any("did you mean port?" in line for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        "providers: {openai: {api_key: hunter2hunter2}}",
        "storage: {url: 'postgresql://mosaic:hunter2hunter2@db/mosaic'}",
        "project: sk-ant-" + "a1b2" * 8,
    ],
)
def test_a_secret_in_the_file_is_refused_and_never_shown(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(InvalidInput) as caught:
        load_settings(tmp_path, environ={})
    shown = str(caught.value.to_json()) + str(caught.value)
    assert "hunter2" not in shown
    assert "sk-ant" not in shown
    assert caught.value.problems


def test_broken_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, "server:\n  port: [1\n")
    with pytest.raises(InvalidInput) as caught:
        load_settings(tmp_path, environ={})
    assert caught.value.problems[0].line >= 2


def test_the_data_folder_is_the_nearest_one_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOSAIC_HOME", raising=False)
    (tmp_path / ".mosaic").mkdir()
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_home(inner) == tmp_path / ".mosaic"


def test_a_wrong_setting_is_named_with_its_line(tmp_path: Path) -> None:
    write(
        tmp_path,
        "# settings\nserver:\n  host: 127.0.0.1\n  prot: 8000\npools:\n  default: {concurrency: none}\n",
    )
    with pytest.raises(InvalidInput) as caught:
        load_settings(tmp_path, environ={})
    places = {problem.path: (problem.line, problem.column) for problem in caught.value.problems}
    assert places == {"server.prot": (4, 3), "pools.default.concurrency": (6, 13)}


def test_a_wrong_variable_is_named_without_a_line_of_the_file(tmp_path: Path) -> None:
    write(tmp_path, "tenant: acme\n")
    with pytest.raises(InvalidInput) as caught:
        load_settings(tmp_path, environ={"MOSAIC_SERVER__PORT": "many"})
    (problem,) = caught.value.problems
    assert str(problem).startswith("server.port: ")


@pytest.mark.parametrize(
    "text",
    [
        "tenant: hunter2hunter2\ntenant: hunter2hunter2b\n",
        "server: {port: hunter2hunter2}\n",
        "hunter2hunter2\n",
        "tenant: [hunter2hunter2\n",
        "cost: {unpriced: hunter2hunter2}\n",
        "tools: {mcp_servers: {ops: {command: [x], headers: {Authorization: Bearer hunter2hunter2}}}}\n",
        "tools: {mcp_servers: {ops: {command: [x], env: {OPS_TOKEN: {secret: 'hunter2 hunter2'}}}}}\n",
    ],
    ids=["twice", "type", "scalar", "broken", "choice", "header", "reference"],
)
def test_no_value_of_the_file_is_ever_echoed(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(InvalidInput) as caught:
        load_settings(tmp_path, environ={})
    assert "hunter2" not in str(caught.value.to_json()) + str(caught.value)


def test_a_secret_may_be_named(tmp_path: Path) -> None:
    write(
        tmp_path,
        "tools:\n  mcp_servers:\n    ops: {command: [ops-mcp], env: {OPS_TOKEN: {secret: OPS_TOKEN, prefix: 'x '}}}\n",
    )
    server = load_settings(tmp_path, environ={}).tools.mcp_servers["ops"]
    assert server.command == ("ops-mcp",)


def test_a_server_is_reached_in_one_way(tmp_path: Path) -> None:
    write(tmp_path, "tools: {mcp_servers: {ops: {}}}\n")
    with pytest.raises(InvalidInput, match="not valid") as caught:
        load_settings(tmp_path, environ={})
    assert "either a command or a url" in str(caught.value.problems[0])


def test_a_list_fits_in_a_variable(tmp_path: Path) -> None:
    for text in ("a.example, b.example", '["a.example", "b.example"]'):
        settings = load_settings(tmp_path, environ={"MOSAIC_SERVER__ALLOWED_HOSTS": text})
        assert settings.server.allowed_hosts == ("a.example", "b.example")


def test_the_database_of_the_environment_wins_and_its_password_is_not_shown(tmp_path: Path) -> None:
    write(tmp_path, "storage: {url: 'postgresql://mosaic@db/other'}\n")
    settings = load_settings(
        tmp_path, environ={"MOSAIC_DATABASE_URL": "postgresql://mosaic:hunter2@db/mosaic"}
    )
    assert settings.database_url.endswith("@db/mosaic")
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_a_file_may_not_name_its_own_folder(tmp_path: Path) -> None:
    write(tmp_path, "home: /somewhere/else\n")
    with pytest.raises(InvalidInput) as caught:
        load_settings(tmp_path, environ={})
    assert "unknown setting" in str(caught.value.problems[0])


def test_a_provider_takes_the_fields_that_its_plugin_declares(tmp_path: Path) -> None:
    write(tmp_path, "providers: {anthropic: {prompt_cache: false, timeout_s: 30}}\n")
    section = load_settings(tmp_path, environ={}).providers["anthropic"]
    assert section.model_dump(exclude_none=True) == {
        "prompt_cache": False,
        "timeout_s": 30.0,
        "enabled": True,
    }

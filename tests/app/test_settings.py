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


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, "server: {port: 9000}\ntenant: acme\n")
    settings = load_settings(tmp_path, environ={"MOSAIC_SERVER__PORT": "9001"})
    assert (settings.server.port, settings.tenant) == (9001, "acme")


def test_a_json_file_is_read_too(tmp_path: Path) -> None:
    write(tmp_path, '{"engine": {"retry_budget": 3}}', "config.json")
    assert load_settings(tmp_path, environ={}).engine.retry_budget == 3


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

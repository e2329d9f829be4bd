"""Local mode has one owner, and nobody else can reach it by accident."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mosaic.app.owner import check_token, owner_token, require_remote_token
from mosaic.core.errors import InvalidInput


def test_the_token_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    token = owner_token(tmp_path)
    assert owner_token(tmp_path) == token
    assert stat.S_IMODE((tmp_path / "owner-token").stat().st_mode) == 0o600
    assert check_token(token, token)
    assert not check_token(token, token[:-1])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.7"])
def test_loopback_needs_no_further_authentication(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOSAIC_OWNER_TOKEN", raising=False)
    require_remote_token(host)


@pytest.mark.requirement("MAOS-04")
@pytest.mark.parametrize("token", ["", "short"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org", "127.example.org"])
def test_listening_beyond_loopback_without_a_strong_token_is_refused(
    host: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOSAIC_OWNER_TOKEN", token)
    with pytest.raises(InvalidInput, match="no authentication"):
        require_remote_token(host)


def test_listening_beyond_loopback_with_a_configured_token_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MOSAIC_OWNER_TOKEN", "x" * 40)
    require_remote_token("0.0.0.0")


def test_an_empty_file_is_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOSAIC_OWNER_TOKEN", raising=False)
    (tmp_path / "owner-token").write_text("\n")
    token = owner_token(tmp_path)
    assert len(token) >= 32
    assert owner_token(tmp_path) == token
    assert (tmp_path / "owner-token").stat().st_mode & 0o777 == 0o600


def test_no_token_is_nobodys() -> None:
    assert not check_token("", "")
    assert not check_token("a" * 32, "")
    assert check_token("a" * 32, "a" * 32)


def test_processes_that_make_it_at_once_agree_on_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOSAIC_OWNER_TOKEN", raising=False)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: owner_token(tmp_path), range(32)))
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["owner-token"]

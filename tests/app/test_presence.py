"""A server is found while its process holds its claim, and only then."""

import json
import os
from pathlib import Path

import pytest

from mosaic.app.presence import Presence, find_server
from mosaic.core.errors import Locked


def test_a_server_is_found_until_it_withdraws(tmp_path: Path) -> None:
    presence = Presence(tmp_path)
    assert find_server(tmp_path) is None
    presence.announce("http://127.0.0.1:1")
    found = find_server(tmp_path)
    assert found is not None
    assert (found.pid, found.address) == (os.getpid(), "http://127.0.0.1:1")
    presence.withdraw()
    assert find_server(tmp_path) is None


def test_a_second_server_is_refused_with_process_and_address(tmp_path: Path) -> None:
    first, second = Presence(tmp_path), Presence(tmp_path)
    first.announce("http://127.0.0.1:1")
    with pytest.raises(Locked, match=rf"http://127.0.0.1:1 \(process {os.getpid()}\)"):
        second.announce("http://127.0.0.1:2")
    first.withdraw()
    second.announce("http://127.0.0.1:2")
    second.withdraw()


def test_what_a_dead_server_left_is_nobody_even_when_its_id_lives_again(tmp_path: Path) -> None:
    left = {"pid": os.getpid(), "address": "http://127.0.0.1:1"}
    (tmp_path / "server.json").write_text(json.dumps(left))
    assert find_server(tmp_path) is None
    (tmp_path / "server.json").write_text("nonsense")
    assert find_server(tmp_path) is None

"""A server is found while its process holds its claim, and only then."""

import json
import os
import socket
from pathlib import Path

import pytest

from mosaic.app.presence import Presence, find_server


def test_a_server_is_found_until_it_withdraws(tmp_path: Path) -> None:
    presence = Presence(tmp_path)
    assert find_server(tmp_path) is None
    presence.announce("http://127.0.0.1:1")
    found = find_server(tmp_path)
    assert found is not None
    assert (found.pid, found.address) == (os.getpid(), "http://127.0.0.1:1")
    presence.withdraw()
    assert find_server(tmp_path) is None


@pytest.mark.parametrize(
    "left",
    [{"pid": os.getpid(), "address": "http://127.0.0.1:1"}, "nonsense", None],
    ids=["whole", "text", "nothing"],
)
def test_what_a_dead_server_left_is_nobody_even_when_its_id_lives_again(tmp_path: Path, left: object) -> None:
    path = tmp_path / "servers" / f"{socket.gethostname()}-{os.getpid()}.json"
    path.parent.mkdir()
    path.write_text(json.dumps(left))
    assert find_server(tmp_path) is None
    assert not path.exists()


def test_a_server_of_another_machine_is_not_reached_by_its_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(socket, "gethostname", lambda: "elsewhere")
        presence = Presence(tmp_path)
        presence.announce("http://127.0.0.1:1")
    assert find_server(tmp_path) is None
    presence.withdraw()

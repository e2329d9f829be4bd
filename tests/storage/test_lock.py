"""One process owns a data directory; the next one learns who does."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mosaic.core.errors import Locked
from mosaic.storage import DataLock, LockOwner, read_owner

HOLDER = """
import sys
from pathlib import Path
from mosaic.storage import DataLock
lock = DataLock(Path(sys.argv[1]))
lock.acquire()
lock.announce("http://127.0.0.1:8700")
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_and_told_who_answers_where(
    tmp_path: Path, holder: "subprocess.Popen[str]"
) -> None:
    with pytest.raises(Locked, match=str(holder.pid)) as refused:
        DataLock(tmp_path).acquire()
    assert refused.value.data == {"pid": holder.pid, "address": "http://127.0.0.1:8700"}
    assert "http://127.0.0.1:8700" in str(refused.value.hint)
    assert read_owner(tmp_path) == LockOwner(holder.pid, "http://127.0.0.1:8700")


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    holder.kill()
    holder.wait(10)
    assert read_owner(tmp_path) is None
    lock = DataLock(tmp_path)
    lock.acquire(address="http://127.0.0.1:1")
    assert lock.read_owner() == LockOwner(os.getpid(), "http://127.0.0.1:1")
    lock.release()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    first, second = DataLock(tmp_path), DataLock(tmp_path)
    first.acquire()
    first.acquire()  # held already: nothing to do
    with pytest.raises(Locked):
        second.acquire()
    first.release()
    first.release()
    assert second.read_owner() is None
    second.acquire()
    second.release()


def test_a_directory_nobody_used_has_no_owner(tmp_path: Path) -> None:
    assert read_owner(tmp_path / "nothing here") is None


def test_an_address_is_only_announced_by_the_owner(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        DataLock(tmp_path).announce("http://127.0.0.1:1")

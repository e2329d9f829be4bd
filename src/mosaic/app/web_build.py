"""The built board: carried by the package, or built from a checkout when the server starts.

A build lies in `.cache/board/<hash of the sources>`, whole or not at all, so that nothing is built twice. The server
never waits for it: until it is there, and when it cannot be made, `Board.state` says why.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import mosaic
from mosaic.app.node import Node, NoNode, find_node
from mosaic.observability import get_logger

__all__ = ["Board", "BoardState", "checkout_board"]

_log = get_logger(__name__)
_BUILD_S = 600.0
_KEPT = 3
_SHOWN_BYTES = 6_000
_NOT_SOURCES = frozenset({"node_modules", "dist"})


@dataclass(frozen=True, slots=True)
class BoardState:
    """What there is to serve.

    Attributes:
        status: ``ready``; ``building`` for the first time; ``failed``; ``missing`` where there are no sources either.
        folder: what to serve, maybe an older build; None when there is none.
        message: why it is not the newest, in words, with a compiler's error where there is one.
    """

    status: Literal["ready", "building", "failed", "missing"]
    folder: Path | None = None
    message: str = ""


class BuildFailed(Exception):
    """A step of the build ended with an error; the text is what it said."""


class Board:
    """The board that a server shows.

    Args:
        packaged: the build that came with the package.
        sources: a checkout's `web` folder.
        cache: where builds are kept.
        lock: the lock of Node's own package, for machines without Node.
    """

    def __init__(
        self,
        *,
        packaged: Path | None = None,
        sources: Path | None = None,
        cache: Path | None = None,
        lock: Path | None = None,
    ) -> None:
        self._sources = sources
        self._cache = cache
        self._lock = lock
        self.state = BoardState("missing", message="This installation came without the board.")
        if packaged is not None and (packaged / "index.html").is_file():
            self.state = BoardState("ready", packaged)
            self._sources = None

    async def prepare(self, say: Callable[[str], None]) -> None:
        """Make the newest board available; `say` is told what a person at the terminal should know. Never raises."""
        if self._sources is None or self._cache is None:
            return
        try:
            await self._prepare(self._sources, self._cache, say)
        except (BuildFailed, NoNode, OSError, TimeoutError) as error:
            older = self.state.folder
            self.state = BoardState("failed", older, str(error) or "The build took too long.")
            what = "the board stays as it was" if older else "there is no board"
            say(f"The board could not be built; {what}. The API works.\n{_indented(self.state.message)}")
        except Exception as error:  # noqa: BLE001  # the server is worth more than its board
            _log.exception("the board could not be built", exc_info=error)
            self.state = BoardState(
                "failed", self.state.folder, "Building the board failed; the log says why."
            )

    async def _prepare(self, sources: Path, cache: Path, say: Callable[[str], None]) -> None:
        wanted = cache / await asyncio.to_thread(_fingerprint, sources)
        if _is_build(wanted):
            self.state = BoardState("ready", wanted)
            return
        builds = _builds(cache)
        self.state = BoardState("building", builds[0] if builds else None, "The board is being built.")
        say("Building the board; the API answers meanwhile.")
        await asyncio.to_thread(cache.mkdir, parents=True, exist_ok=True)
        async with asyncio.timeout(_BUILD_S), _alone(cache / "lock"):
            if not _is_build(wanted):  # another server may have been quicker
                await self._build(sources, wanted)
        self.state = BoardState("ready", wanted)
        for old in _builds(cache)[_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
        say("The board is ready.")

    async def _build(self, sources: Path, wanted: Path) -> None:
        node = await asyncio.to_thread(find_node, wanted.parent.parent / "node")
        if node is None:
            if self._lock is None:
                raise NoNode("There is no Node here, and no lock to install it from.")
            node = await _install_node(wanted.parent.parent / "node", self._lock)
        installed = sources / "node_modules" / ".mosaic-lock"
        lock = hashlib.sha256((sources / "package-lock.json").read_bytes()).hexdigest()
        if not installed.is_file() or installed.read_text() != lock:
            await _run([*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], sources, node)
            installed.write_text(lock)
        draft = wanted.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        vite = sources / "node_modules" / "vite" / "bin" / "vite.js"
        await _run([node.path, vite, "build", "--outDir", draft, "--emptyOutDir"], sources, node)
        if not _is_build(draft):
            raise BuildFailed("The build ended without an index.html.")
        draft.replace(wanted)


def checkout_board() -> Board:
    """Return the board of this package: the one inside it, or one that is built from the checkout it lies in."""
    package = Path(mosaic.__file__).parent
    root = package.parents[1]
    sources = root / "web"
    if not (sources / "package-lock.json").is_file():
        return Board(packaged=package / "board")
    return Board(
        packaged=package / "board",
        sources=sources,
        cache=root / ".cache" / "board",
        lock=root / "requirements" / "node.lock",
    )


async def _install_node(folder: Path, lock: Path) -> Node:
    """Install Node from its Python package, by hash, beside everything else."""
    root = lock.parents[1]
    own = [root / ".uv" / "target" / "bin" / "uv", root / ".uv" / "venv" / "bin" / "uv"]
    uv = shutil.which("uv") or next((str(path) for path in own if path.is_file()), None)
    pip: list[str | Path] = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
    shutil.rmtree(folder, ignore_errors=True)
    arguments: list[str | Path] = ["install", "--quiet", "--require-hashes", "-r", lock, "--target", folder]
    await _run([*pip, *arguments], lock.parent, None)
    node = await asyncio.to_thread(find_node, folder)
    if node is None:
        raise NoNode("Node was installed from its Python package and does not start.")
    return node


async def _run(command: list[str | Path], folder: Path, node: Node | None) -> None:
    """Run one step of the build, after everything else that wants the processor.

    Raises:
        BuildFailed: with the end of what it said.
    """
    environ = {**os.environ, "NO_COLOR": "1", "CI": "1"}
    if node is not None:
        environ["PATH"] = f"{Path(node.path).parent}{os.pathsep}{environ.get('PATH', '')}"
    nice = [found, "-n", "5"] if (found := shutil.which("nice")) else []
    process = await asyncio.create_subprocess_exec(
        *nice,
        *(str(part) for part in command),
        cwd=folder,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # so that it ends with everything it started
    )
    try:
        said, _ = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if process.returncode != 0:
        name = " ".join(Path(str(part)).name for part in command[:3])
        raise BuildFailed(f"{name} failed:\n{said[:_SHOWN_BYTES].decode(errors='replace').strip()}")


@contextlib.asynccontextmanager
async def _alone(path: Path) -> AsyncIterator[None]:
    """Hold the lock on builds, across processes."""
    with path.open("w") as handle:
        while not _try_lock(handle):  # noqa: ASYNC110  # another process holds it, which sets no event of ours
            await asyncio.sleep(0.2)
        yield


def _try_lock(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _fingerprint(sources: Path) -> str:
    """Return the hash of everything a build is made from."""
    digest = hashlib.sha256()
    for path in _files(sources):
        digest.update(f"{path.relative_to(sources)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in _NOT_SOURCES:
                yield from _files(path)
        elif not path.name.endswith((".test.ts", ".test.tsx")):
            yield path


def _is_build(folder: Path) -> bool:
    return (folder / "index.html").is_file()


def _builds(cache: Path) -> list[Path]:
    """Return the builds there are, newest first."""
    if not cache.is_dir():
        return []
    found = [path for path in cache.iterdir() if not path.suffix and _is_build(path)]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines()[:30])


def main() -> int:
    """Build the board of this checkout, and print the folder it lies in: what CI uses. Return the exit status."""
    board = checkout_board()
    asyncio.run(board.prepare(lambda text: print(text, file=sys.stderr)))  # noqa: T201
    if board.state.status != "ready":
        return 1
    print(board.state.folder)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())

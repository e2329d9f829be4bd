"""`mosaic up`: one process that serves the API and executes runs, and stops cleanly."""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvicorn
import uvloop

from mosaic.app.build import Application
from mosaic.app.first_run import run_example_once
from mosaic.app.lifespan import open_application
from mosaic.app.owner import owner_token, require_remote_token
from mosaic.app.presence import Presence, find_server
from mosaic.app.sessions import Sessions
from mosaic.app.settings import Settings
from mosaic.app.web_build import checkout_board
from mosaic.core.errors import Locked, Unavailable
from mosaic.doors import Doors, create_doors, only_inside
from mosaic.gateway.connection import ConnectionBounds, bounded_connections
from mosaic.gateway.socket_connection import LARGEST_MESSAGE_BYTES, bounded_sockets
from mosaic.observability import get_logger

__all__ = ["serve", "serving_inside"]

_log = get_logger(__name__)
_GRACE_S = 3
_BACKLOG = 2048


def serve(settings: Settings, *, example: bool) -> int:
    """Serve until interrupted; return the exit status.

    Raises:
        InvalidInput: when asked to listen beyond loopback without authentication.
        Locked: when another process already serves or executes on this data.
        Unavailable: when the port is taken.
    """
    require_remote_token(settings.server.host)
    # Half the processor time of a gateway request is the loop's own; uvloop's costs a third of the standard one's.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, example=example))


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: stopping is the application's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


async def _serve(settings: Settings, *, example: bool) -> int:
    # On PostgreSQL a second server is a second node.
    if settings.database_url.startswith("sqlite") and (running := find_server(settings.home)) is not None:
        raise Locked(
            f"MosAIc already runs on this data at {running.address} (process {running.pid}).",
            hint="Use it as it is, or stop that process first.",
            pid=running.pid,
            address=running.address,
        )
    listener = _listen(settings.server.host, settings.server.port)
    address = _address(listener, settings.server.host)
    try:
        async with open_application(settings, execute=True, address=address) as application:
            gc.freeze()  # what was loaded stays; from here on young garbage is looked for as Python does by itself
            gc.set_threshold(700, 10, 10)
            await _answer(application, listener, address, example=example)
    finally:
        listener.close()
    _say("Stopped. Runs continue on the next start.")
    return 0


async def _answer(application: Application, listener: socket.socket, address: str, *, example: bool) -> None:
    home, presence = application.settings.home, Presence(application.settings.home)
    token = owner_token(home)
    application.redactor.add(token)
    sessions, board = Sessions(token), checkout_board()
    doors = create_doors(application, owner_token=token, sessions=sessions, board=board)
    config = uvicorn.Config(
        doors,
        interface="asgi3",
        http=bounded_connections(
            ConnectionBounds(unread_s=application.settings.gateway.stalled_client_s), doors.direct
        ),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=_GRACE_S,
        server_header=False,
        date_header=False,
        proxy_headers=False,  # nobody reads the client's address, and what a proxy says of it could be anyone's word
        ws=bounded_sockets(),
        ws_max_size=LARGEST_MESSAGE_BYTES,
        ws_per_message_deflate=False,
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if application.stopping.is_set():
            server.force_exit = True
        application.stopping.set()
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    presence.announce(address)
    _say(f"MosAIc answers on {address}  (data in {home}, Ctrl-C stops it)")
    # Behind the #, so that no server, log or proxy on the way reads it; it is good once.
    _say(f"Open the board: {address}/#code={sessions.new_code()}")
    tasks = [asyncio.create_task(board.prepare(_say))]
    if example:
        tasks.append(asyncio.create_task(_example(application)))
    try:
        async with serving_inside(application, doors):
            await server.serve(sockets=[listener])
    finally:
        presence.withdraw()
        await doors.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def serving_inside(application: Application, doors: Doors) -> AsyncIterator[None]:
    """Serve the model gateway and the tool door on a unix socket, where commands in a sandbox get no other network."""
    if application.settings.tools.sandbox.network != "gateway":
        yield
        return
    # Short, whatever the home: the kernel takes no longer paths than about a hundred bytes.
    with tempfile.TemporaryDirectory(prefix="mosaic-doors-") as folder:
        place = Path(folder) / "doors"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(place))
        place.chmod(0o600)
        config = uvicorn.Config(
            only_inside(doors),
            interface="asgi3",
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_S,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            ws="none",
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        application.inside.socket = place
        try:
            yield
        finally:
            application.inside.socket = None
            server.should_exit = True
            await serving


async def _example(application: Application) -> None:
    """Run the example team on an empty installation and say where to look."""
    try:
        run = await run_example_once(
            application, on_start=lambda run_id: _say(f"First start: the example team works, run {run_id}")
        )
    except Exception as error:  # noqa: BLE001  # the server is worth more than its demonstration
        _log.exception("the example team could not run", exc_info=error)
        return
    if run is not None:
        _say(f"The example team is done ({run['status']}). See: mosaic runs show {run['id']}")


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens already: what comes before the server is ready waits instead of being refused.

    Raises:
        Unavailable: if the address cannot be used.
    """
    try:
        family, _, _, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _cannot_listen(host, port, error) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _cannot_listen(host, port, error) from None
    return listener


def _cannot_listen(host: str, port: int, error: OSError) -> Unavailable:
    return Unavailable(
        f"Cannot listen on {host}:{port}: {error.strerror or error}.",
        hint="Choose another port with --port, or --port 0 for a free one.",
    )


def _address(listener: socket.socket, host: str) -> str:
    """Return the address by which this machine reaches the server."""
    bound, port = listener.getsockname()[:2]
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what it is bound to, not what to bind
    name = loopback.get(bound, host if host == "localhost" else bound)
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()

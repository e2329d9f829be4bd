"""`mosaic up`: one process that serves the API and executes runs, and stops cleanly."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn

from mosaic.api.asgi import create_asgi
from mosaic.app.build import Application
from mosaic.app.first_run import run_example_once
from mosaic.app.lifespan import open_application
from mosaic.app.owner import owner_token, require_remote_token
from mosaic.app.presence import announce, find_server, withdraw
from mosaic.app.settings import Settings
from mosaic.core.errors import Locked, Unavailable
from mosaic.observability import get_logger

__all__ = ["serve"]

_log = get_logger(__name__)
_GRACE_S = 3


def serve(settings: Settings, *, example: bool) -> int:
    """Serve until interrupted; return the exit status.

    Raises:
        InvalidInput: when asked to listen beyond loopback without authentication.
        Locked: when another process already serves or executes on this data.
        Unavailable: when the port is taken.
    """
    require_remote_token(settings.server.host)
    return asyncio.run(_serve(settings, example=example))


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: stopping is the application's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


async def _serve(settings: Settings, *, example: bool) -> int:
    if (running := find_server(settings.home)) is not None:
        raise Locked(
            f"MosAIc already runs on this data at {running.address} (process {running.pid}).",
            hint="Use it as it is, or stop that process first.",
        )
    listener = _listen(settings.server.host, settings.server.port)
    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        async with open_application(settings, execute=True, address=address) as application:
            await _answer(application, listener, address, example=example)
    finally:
        listener.close()
    _say("Stopped. Runs continue on the next start.")
    return 0


async def _answer(application: Application, listener: socket.socket, address: str, *, example: bool) -> None:
    home = application.settings.home
    asgi = create_asgi(application, owner_token=owner_token(home))
    config = uvicorn.Config(
        asgi,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=_GRACE_S,
        server_header=False,
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
    announce(home, address)
    _say(f"MosAIc answers on {address}  (data in {home}, Ctrl-C stops it)")
    first = asyncio.create_task(_example(application)) if example else None
    try:
        await server.serve(sockets=[listener])
    finally:
        withdraw(home)
        if first:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)


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
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"Cannot listen on {host}:{port}: {error.strerror or error}.",
            hint="Choose another port with --port, or --port 0 for a free one.",
        ) from None
    return listener


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()

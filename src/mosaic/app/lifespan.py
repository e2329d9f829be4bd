"""Open an application, and close it without losing anything."""

import contextlib
from collections.abc import AsyncIterator

from mosaic.app.build import Application, build
from mosaic.app.home import make_home
from mosaic.app.settings import Settings

__all__ = ["open_application"]


@contextlib.asynccontextmanager
async def open_application(
    settings: Settings, *, execute: bool, address: str | None = None
) -> AsyncIterator[Application]:
    """Build the rooms and open them; with `execute` this process also runs work.

    Args:
        settings: the installation's settings.
        execute: launch the engine: take the data's lock (SQLite) or a lease (PostgreSQL), and carry on what was
            interrupted. Without it the process reads, and answers approvals.
        address: where this process serves, shown to others that find the lock taken.

    Raises:
        Locked: when another process executes on the same SQLite data.
        Unavailable: when the data folder cannot be written or the database cannot be used.
    """
    make_home(settings.home)
    application = build(settings)
    try:
        await application.open(execute=execute, address=address)
        yield application
    finally:
        await application.close()

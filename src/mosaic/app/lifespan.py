"""Open an application, and close it without losing anything."""

import contextlib
from collections.abc import AsyncIterator

from mosaic.app.build import Application, build
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
    """
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    ignore = settings.home / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
    application = build(settings)
    try:
        await application.open(execute=execute, address=address)
        yield application
    finally:
        await application.close()

"""The data folder of an installation."""

from pathlib import Path

from mosaic.core.errors import Unavailable

__all__ = ["make_home"]


def make_home(home: Path) -> None:
    """Make the data folder, readable by its owner only and ignored by git. May be repeated.

    Raises:
        Unavailable: if it cannot be made or written.
    """
    ignore = home / ".gitignore"
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise Unavailable(
            f"The data folder {home} cannot be written: {error.strerror}.",
            hint="Name another one with --home or MOSAIC_HOME, or change its owner and mode.",
        ) from None

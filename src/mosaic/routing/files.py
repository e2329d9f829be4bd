"""Where an installation keeps its routes: a file of their own, or a section of the settings file."""

from pathlib import Path

from mosaic.core.errors import Unavailable
from mosaic.routing.loading import load_routes
from mosaic.routing.settings import RoutingSettings

__all__ = ["ROUTES_NAMES", "SECTION", "read_routes"]

ROUTES_NAMES = ("routes.yaml", "routes.yml", "routes.json")
SECTION = "routing"
"""The key of the routes in the settings file."""

_CONFIG_NAMES = ("config.yaml", "config.yml", "config.json")


def read_routes(home: Path) -> RoutingSettings:
    """Return the routes of the installation at `home`; no routes when it has none.

    ``routes.yaml`` in the data folder wins over the section `routing` of the settings file.

    Raises:
        InvalidInput: naming every problem with file, line and column.
        Unavailable: if a file cannot be read.
    """
    for names, section in ((ROUTES_NAMES, None), (_CONFIG_NAMES, SECTION)):
        for name in names:
            if (home / name).is_file():
                found = load_routes(_text(home / name), str(home / name), section=section)
                if section is None or found.routes or found.rules:
                    return found
    return RoutingSettings()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be read: {error.strerror}.", hint="Check its owner and mode."
        ) from None

"""What is asked for at which hour of the week, kept in a file of this node from one start to the next."""

import json
from pathlib import Path

from mosaic.cache import Warming
from mosaic.observability import get_logger

__all__ = ["POPULARITY_FILE", "PopularityFile"]

POPULARITY_FILE = "popular-answers.json"

_log = get_logger(__name__)


class PopularityFile:
    """The file of one node. It holds keys, which are hashes, never what was asked."""

    def __init__(self, home: Path, warming: Warming) -> None:
        self._path = home / POPULARITY_FILE
        self._warming = warming

    def recall(self) -> None:
        """Load what was saved; a file that is damaged or of another release is left aside, with a warning."""
        try:
            self._warming.load(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            _log.warning("%s cannot be used, popularity is counted anew: %s", self._path, error)

    def save(self) -> None:
        """Write what is known, whole or not at all, if there is anything."""
        self._warming.observe()
        known = self._warming.export()
        if not any(hour["keys"] for hour in known["hours"].values()):
            return
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(known), encoding="utf-8")
            temporary.replace(self._path)
        except OSError as error:
            _log.warning("what is asked for when cannot be saved in %s: %s", self._path, error)

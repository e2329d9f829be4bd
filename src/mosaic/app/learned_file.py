"""What learned routes have learned, kept in a file of this node from one start to the next."""

import asyncio
import json
from pathlib import Path

from mosaic.core.errors import InvalidInput
from mosaic.observability import get_logger
from mosaic.routing import Router

__all__ = ["LEARNED_FILE", "LearnedFile"]

LEARNED_FILE = "learned-routes.json"
_SAVE_S = 60.0

_log = get_logger(__name__)


class LearnedFile:
    """The file of one node. It is small: some numbers for each target of each route that learns."""

    def __init__(self, home: Path, router: Router) -> None:
        self._path = home / LEARNED_FILE
        self._router = router
        self._saved = ""

    def recall(self) -> None:
        """Load what was saved; a file that is damaged or of another release is left aside, with a warning."""
        try:
            text = self._path.read_text(encoding="utf-8")
            self._router.learned.load(json.loads(text))
        except FileNotFoundError:
            return
        except (OSError, ValueError, InvalidInput) as error:
            _log.warning("%s cannot be used, learning begins anew: %s", self._path, error)
            return
        self._saved = text

    def save(self) -> None:
        """Write what is known, whole or not at all, if it changed and there is anything."""
        state = self._router.learned.to_json()
        text = json.dumps(state)
        if text == self._saved or not state["routes"]:
            return
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self._path)
        except OSError as error:
            _log.warning("what routes learned cannot be saved in %s: %s", self._path, error)
            return
        self._saved = text

    async def keep(self) -> None:
        """Save now and then, for ever; cancel to stop."""
        while True:
            await asyncio.sleep(_SAVE_S)
            self.save()

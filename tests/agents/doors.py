"""The real tool door with its approvals."""

from mosaic.tools import ToolDoor


def open_door(database, journal, engine, redactor, blobs):
    return ToolDoor(), None

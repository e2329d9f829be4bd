"""Writes a new plugin that passes the kit, to be changed step by step into a real one."""

import re
from importlib import resources
from pathlib import Path

from mosaic.core.errors import Conflict, InvalidInput
from mosaic.providers.manifest import KINDS, ProviderKind
from mosaic.providers.resources import RESOURCES

__all__ = ["scaffold"]

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


def scaffold(name: str, *, kind: ProviderKind, directory: Path) -> list[Path]:
    """Write a plugin of a kind into a new folder below `directory` and return the files.

    Raises:
        InvalidInput: if the name or the kind cannot be one.
        Conflict: if the folder is there.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot be a plugin's name.", hint="Use small letters, digits and dashes."
        )
    if kind not in KINDS:
        raise InvalidInput(f"There is no kind {kind!r}.", hint=f"Kinds are {', '.join(KINDS)}.")
    folder = directory / name
    if folder.exists():
        raise Conflict(f"{folder} is already there.", hint="Choose another name, or remove it.")
    resource = next(iter(RESOURCES[kind]), "")
    words = {
        "__name__": name,
        "__kind__": kind,
        "__Class__": "".join(part.capitalize() for part in name.split("-")),
        "__TITLE__": name.replace("-", " ").capitalize(),
        "__VARIABLE__": name.upper().replace("-", "_"),
        "__resource__": resource,
        "__resources__": f"{resource[:-1]}ies" if resource.endswith("y") else f"{resource}s",
        "__Resource__": "".join(part.capitalize() for part in resource.split("_")),
    }
    templates = (
        resources.files("mosaic.providers.testing") / "templates" / ("ai" if kind == "ai" else "resources")
    )
    folder.mkdir(parents=True)
    written = []
    for template in sorted(templates.iterdir(), key=lambda entry: entry.name):
        text = template.read_text(encoding="utf-8")
        for word, filling in words.items():
            text = text.replace(word, filling)
        path = folder / template.name.removesuffix(".txt")
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
        written.append(path)
    return written

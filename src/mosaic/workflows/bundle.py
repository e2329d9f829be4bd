"""The bundle: a definition's file and every file it refers to, as one value with one content hash."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass

from mosaic.core.errors import InvalidDefinition
from mosaic.core.values import canonical_json, content_hash

__all__ = ["Bundle"]

_FORMAT = "mosaic.bundle/1"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Files by their path relative to the definition's directory (``/`` as separator).

    Attributes:
        entry: path of the definition's file.
        files: path -> bytes, the entry included.
    """

    entry: str
    files: Mapping[str, bytes]

    @property
    def content_hash(self) -> str:
        """``sha256:<hex>`` of the bundle; equal files give an equal hash, whatever their order."""
        return content_hash(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the one byte form: canonical JSON; files that are UTF-8 as text, others in base64."""
        return canonical_json(
            {
                "format": _FORMAT,
                "entry": self.entry,
                "files": {path: _encode(content) for path, content in self.files.items()},
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Bundle":
        """Return the bundle that `to_bytes` wrote.

        Raises:
            InvalidDefinition: if `data` is not a bundle.
        """
        try:
            shown = json.loads(data)
            if shown["format"] != _FORMAT:
                raise InvalidDefinition(f"This bundle has the format {shown['format']!r}, not {_FORMAT!r}.")
            files = {str(path): _decode(content) for path, content in shown["files"].items()}
            return cls(entry=str(shown["entry"]), files=files)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
            raise InvalidDefinition("This is not a workflow bundle, or it is damaged.") from error


def _encode(content: bytes) -> dict[str, str]:
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _decode(content: Mapping[str, str]) -> bytes:
    if "text" in content:
        return content["text"].encode()
    return base64.b64decode(content["base64"], validate=True)

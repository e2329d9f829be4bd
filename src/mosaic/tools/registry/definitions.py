"""What a tool says of itself, so that a change of it is noticed and can be shown."""

import difflib
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from mosaic.core.values import JsonObject
from mosaic.tools.hygiene import visible_value

if TYPE_CHECKING:  # the SDK takes half a second to import, and every command has a registry
    import mcp.types as mcp_types

__all__ = ["TOOL_NAME", "definition_of", "difference", "digest_of", "kept"]

TOOL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,99}")
"""What can name a tool; others are left out."""

_KEPT_CHARACTERS = 120_000
_DIFFERENCE_CHARACTERS = 6_000
_SAYS = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")


def definition_of(tool: "mcp_types.Tool") -> JsonObject:
    """Return what a server shows of a tool and a model or a policy acts on."""
    said: dict[str, Any] = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {key: said[key] for key in _SAYS if key in said}


def digest_of(definition: JsonObject) -> str:
    """Return the digest of a definition as it came: a hidden character changes it, the order of keys does not."""
    data = json.dumps(definition, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(data.encode()).hexdigest()


def kept(definition: JsonObject) -> JsonObject:
    """Return a definition in the form that is stored and shown: nothing hidden, not too long."""
    shown: Any = visible_value(definition)
    if len(json.dumps(shown, ensure_ascii=False)) <= _KEPT_CHARACTERS:
        return dict(shown)
    about = str(shown.get("description", ""))[:2_000]
    return {"name": shown.get("name"), "description": about, "note": "the rest is too long to be kept"}


def difference(before: JsonObject, now: JsonObject) -> str:
    """Return how two kept definitions differ, line by line."""
    lines = difflib.unified_diff(_lines(before), _lines(now), "approved", "offered now", lineterm="", n=2)
    text = "\n".join(lines)
    return text if len(text) <= _DIFFERENCE_CHARACTERS else f"{text[:_DIFFERENCE_CHARACTERS]}\n[...]"


def _lines(definition: JsonObject) -> list[str]:
    text = json.dumps(definition, indent=1, sort_keys=True, ensure_ascii=False)
    # Line ends inside a description are lines of the difference, too.
    return text.replace("\\n", "\n").splitlines()

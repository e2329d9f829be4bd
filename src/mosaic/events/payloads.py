"""What a value goes through on its way into the journal: redaction, JSON, and the blob store when it is large."""

import json
from typing import Any

from mosaic.core.errors import InvalidInput
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, JsonValue
from mosaic.storage import BlobStore

__all__ = ["INLINE_LIMIT_BYTES", "Payloads"]

INLINE_LIMIT_BYTES = 16 * 1024
_WORTH_A_BLOB_BYTES = 1024
_REFERENCE = "$blob"


def _encode(value: JsonValue) -> str:
    # ASCII: half a surrogate pair, which a model may well emit, survives both databases only as an escape.
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"The value cannot be journaled: {error}.", hint="Journal plain JSON values."
        ) from error


def _is_reference(value: JsonValue) -> bool:
    return isinstance(value, dict) and _REFERENCE in value


class Payloads:
    """Prepares values for the journal and reads them back.

    A value over 16 KB becomes ``{"$blob": <digest>, "size_bytes": <n>}``. A value that has a ``$blob`` field
    itself always goes to the blob store, so a reference in the journal is always one of ours.
    """

    def __init__(self, redactor: Redactor, blobs: BlobStore) -> None:
        self._redactor = redactor
        self._blobs = blobs

    def text(self, text: str) -> str:
        """Return JSON text with every secret masked."""
        return self._redactor.text(text)

    def inline(self, value: JsonValue) -> tuple[str, JsonValue] | None:
        """Do what `whole` does; None when the value belongs in the blob store.

        Raises:
            InvalidInput: if it is not a JSON value.
        """
        text = _encode(self._redactor.value(value))
        if len(text) > INLINE_LIMIT_BYTES or _is_reference(value):
            return None
        return text, json.loads(text)

    async def whole(self, value: JsonValue) -> tuple[str, JsonValue]:
        """Return the JSON text to store for `value`, and the value as a reader will get it.

        Raises:
            InvalidInput: if it is not a JSON value.
        """
        text = _encode(self._redactor.value(value))
        stored = text
        if len(text) > INLINE_LIMIT_BYTES or _is_reference(value):
            stored = _encode(await self._offload(text))
        return stored, json.loads(text)

    def inline_fields(self, data: JsonObject) -> str | None:
        """Do what `fields` does; None when something belongs in the blob store.

        Raises:
            InvalidInput: if it is not JSON.
        """
        text = _encode(self._redactor.value(data))
        forged = any(_is_reference(item) for item in data.values())
        return None if len(text) > INLINE_LIMIT_BYTES or forged or _REFERENCE in data else text

    async def fields(self, data: JsonObject) -> str:
        """Return the JSON text to store for an event's data; its largest fields go to the blob store first."""
        text = self.inline_fields(data)
        if text is not None:
            return text
        clean = self._redactor.value(data)
        text = _encode(clean)
        if not isinstance(clean, dict) or _REFERENCE in data:
            return _encode(await self._offload(text))
        return await self._largest_first(clean)

    async def resolve(self, value: Any) -> Any:
        """Return `value`, read from the blob store when it is a reference."""
        if _is_reference(value):
            return json.loads(await self._blobs.get(str(value[_REFERENCE])))
        return value

    async def resolve_fields(self, data: JsonObject) -> JsonObject:
        """Return an event's data with every reference replaced by what it stands for."""
        if _is_reference(data):
            whole = await self.resolve(data)
            return dict(whole)
        return {key: await self.resolve(item) for key, item in data.items()}

    async def _offload(self, text: str) -> JsonObject:
        content = text.encode()
        return {_REFERENCE: await self._blobs.put(content), "size_bytes": len(content)}

    async def _largest_first(self, data: JsonObject) -> str:
        encoded = {key: _encode(item) for key, item in data.items()}
        kept = dict(data)
        size = sum(len(text) + len(key) for key, text in encoded.items())
        for key in sorted(encoded, key=lambda name: -len(encoded[name])):
            large = size > INLINE_LIMIT_BYTES and len(encoded[key]) > _WORTH_A_BLOB_BYTES
            if large or _is_reference(data[key]):
                kept[key] = await self._offload(encoded[key])
                size -= len(encoded[key])
        text = _encode(kept)
        if len(text) > INLINE_LIMIT_BYTES:  # very many small fields
            return _encode(await self._offload(_encode(data)))
        return text

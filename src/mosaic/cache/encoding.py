"""An entry as bytes, for tiers outside this process.

The first byte is the format. What cannot be read - another format, a foreign value, half a file - is no entry, and
so a miss: a cache can always be filled again.
"""

import msgspec

from mosaic.cache.schemas import Entry, Purge

__all__ = ["read_entry", "read_purge", "write_entry", "write_purge"]

_FORMAT = b"\x01"
_encode = msgspec.msgpack.Encoder().encode
_decode_entry = msgspec.msgpack.Decoder(Entry).decode
_decode_purge = msgspec.msgpack.Decoder(tuple[str, Purge]).decode


def write_entry(entry: Entry) -> bytes:
    """Return the bytes of an entry."""
    return _FORMAT + _encode(entry)


def read_entry(data: bytes, key: str) -> Entry | None:
    """Return the entry in `data` if it is one, and that of `key`."""
    if data[:1] != _FORMAT:
        return None
    try:
        entry = _decode_entry(memoryview(data)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return entry if entry.key == key else None


def write_purge(node: str, purge: Purge) -> bytes:
    """Return a purge as one node tells it to the others."""
    return _FORMAT + _encode((node, purge))


def read_purge(data: bytes) -> tuple[str, Purge] | None:
    """Return who purged and what, or None if that cannot be read."""
    if data[:1] != _FORMAT:
        return None
    try:
        return _decode_purge(memoryview(data)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None

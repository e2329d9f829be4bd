"""Who calls from outside: virtual keys, hashed, scoped, expiring, revocable."""

from mosaic.security.schemas import KeyLimits, KeySettings, NewKey, VirtualKey
from mosaic.security.service import Keys

__all__ = ["KeyLimits", "KeySettings", "Keys", "NewKey", "VirtualKey"]

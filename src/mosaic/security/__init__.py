"""Who calls from outside: virtual keys, hashed, scoped, expiring, revocable."""

from mosaic.security.schemas import RUN_KEYS, KeyLimits, KeySettings, NewKey, VirtualKey
from mosaic.security.service import Keys

__all__ = ["RUN_KEYS", "KeyLimits", "KeySettings", "Keys", "NewKey", "VirtualKey"]

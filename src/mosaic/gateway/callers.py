"""Who calls the gateway: the holder of a virtual key, or the owner."""

from dataclasses import dataclass

from mosaic.app.owner import check_token
from mosaic.core.errors import Unauthenticated
from mosaic.cost import Payer
from mosaic.security import Keys, VirtualKey

__all__ = ["Caller", "Callers"]

_BEARER = b"bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone who may call.

    Attributes:
        payer: whose budgets and quotas its calls draw on.
        key: the virtual key; None for the owner, who may use everything.
    """

    payer: Payer
    key: VirtualKey | None = None

    def may_use(self, model: str, scope: str) -> bool:
        """Say whether the key admits `model` for a scope such as `chat`; where its request goes is asked later."""
        key = self.key
        return key is None or (key.admits(scope) and key.admits_model(model))

    def may_list(self, model: str, route: str) -> bool:
        """Say whether the key could name `model`, which is the route `route`, or none when that is empty."""
        key = self.key
        return key is None or (key.admits_model(model) and key.admits_route(route))


class Callers:
    """Finds the caller of a request by the key it shows.

    Args:
        keys: the virtual keys.
        owner: what the owner's token stands for.
        owner_token: shown by the owner of a local installation.
    """

    def __init__(self, keys: Keys, *, owner: Payer, owner_token: str) -> None:
        self._keys = keys
        self._owner = Caller(owner)
        self._owner_token = owner_token
        self._known: dict[str, Caller] = {}

    def identify(self, headers: list[tuple[bytes, bytes]]) -> Caller:
        """Return who calls.

        Raises:
            Unauthenticated: if no key is shown, or one that is unknown, revoked or expired.
        """
        shown = _shown(headers)
        if shown is None:
            raise Unauthenticated(
                "This needs a key.",
                hint="Send a virtual key as `Authorization: Bearer KEY` or `x-api-key: KEY`; `mosaic keys create` makes one.",
            )
        if not shown.startswith("mk-") and check_token(self._owner_token, shown):
            return self._owner
        key = self._keys.lookup(shown)
        caller = self._known.get(key.id)
        if caller is None or caller.key is not key:
            caller = self._known[key.id] = Caller(_payer(key), key)
        return caller


def _payer(key: VirtualKey) -> Payer:
    return Payer(key.tenant, key.project, run_id=key.run_id, key_id=key.id)


def _shown(headers: list[tuple[bytes, bytes]]) -> str | None:
    for name, value in headers:
        if name == b"authorization":
            if value[:7].lower() == _BEARER:
                return value[7:].strip().decode("latin-1")
        elif name == b"x-api-key":
            return value.strip().decode("latin-1")
    return None

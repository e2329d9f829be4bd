"""Who calls the MCP server: the owner, the holder of a virtual key, or the bearer of an authorization server's token."""

from collections.abc import Awaitable, Callable

from mosaic.app.owner import check_token
from mosaic.core.context import Actor, Context
from mosaic.core.errors import PermissionDenied, Unauthenticated
from mosaic.mcp.interfaces import Headers
from mosaic.mcp.schemas import Caller
from mosaic.security import Keys

__all__ = ["SCOPE", "McpCallers"]

SCOPE = "tools"

_BEARER = b"bearer "
_KEY = "mk-"


class McpCallers:
    """Finds the caller of a request by what it shows.

    Args:
        keys: the virtual keys; only those with the scope `SCOPE` are good here, named on purpose.
        owner: what the owner's token stands for.
        owner_token: shown by the owner of a local installation.
        tokens: checks what an authorization server gave out; None when there is none.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        owner: Context,
        owner_token: str,
        tokens: Callable[[str], Awaitable[Caller]] | None = None,
    ) -> None:
        self._keys = keys
        self._owner = Caller(owner, "owner")
        self._owner_token = owner_token
        self._tokens = tokens

    async def __call__(self, headers: Headers) -> Caller:
        """Return who calls.

        Raises:
            Unauthenticated: if nothing is shown, or nothing that is good.
            PermissionDenied: if a key does not admit tools.
        """
        shown = _shown(headers)
        if shown is None:
            raise Unauthenticated(
                "This needs a key.",
                hint="Send the owner's token or a virtual key as `Authorization: Bearer KEY`; "
                f"`mosaic keys create NAME --scopes {SCOPE}` makes one.",
            )
        if not shown.startswith(_KEY):
            if check_token(self._owner_token, shown):
                return self._owner
            if self._tokens is not None and shown.count(".") == 2:  # the parts of a signed token
                return await self._tokens(shown)
        key = self._keys.lookup(shown)
        if SCOPE not in key.scopes:
            raise PermissionDenied(
                f"The key {key.prefix}… does not admit tools.",
                hint=f"Make one that does: `mosaic keys create NAME --scopes {SCOPE}`.",
            )
        return Caller(Context(key.tenant, key.project, Actor("agent", key.id)), key.id)


def _shown(headers: Headers) -> str | None:
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == _BEARER:
            return value[7:].strip().decode("latin-1")
        if name == b"x-api-key":
            return value.strip().decode("latin-1")
    return None

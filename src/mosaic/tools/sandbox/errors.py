"""What the sandbox raises beyond the common tree."""

from mosaic.core.errors import PermissionDenied

__all__ = ["INSTALL_BUBBLEWRAP", "NoSandbox"]

INSTALL_BUBBLEWRAP = (
    "Install bubblewrap: `apt-get install bubblewrap`, `dnf install bubblewrap` or `apk add bubblewrap`."
)
"""The next step where there is no sandbox."""


class NoSandbox(PermissionDenied):
    """No sandbox here holds what is required, so the command was not started; `data` holds ``missing`` and ``drivers``."""

    code = "no_sandbox"

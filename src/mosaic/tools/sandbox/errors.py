"""What the sandbox raises beyond the common tree."""

from mosaic.core.errors import PermissionDenied

__all__ = ["NoSandbox"]


class NoSandbox(PermissionDenied):
    """No sandbox here holds what is required, so the command was not started; `data` holds ``missing`` and ``drivers``."""

    code = "no_sandbox"

"""Who pays for a call."""

from typing import NamedTuple

__all__ = ["Payer"]


class Payer(NamedTuple):
    """Whose budgets and quotas a call draws on, from the widest to the narrowest."""

    tenant: str
    project: str
    run_id: str | None = None
    agent: str | None = None
    key_id: str | None = None

"""What is wrong with a change of a plan, besides what `mosaic.core.errors` names.

::

    Conflict
    └── StalePlan    412  the plan has changed since the version that the change was made for
"""

from mosaic.core.errors import Conflict

__all__ = ["StalePlan"]


class StalePlan(Conflict):
    """The plan has changed since the version that a change was made for; nothing was written."""

    code = "stale_plan"
    http_status = 412

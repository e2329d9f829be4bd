"""Plans: epics, features, stories and tasks; what waits for what, how they stand, and changes as reviewable diffs."""

from mosaic.planning.errors import StalePlan
from mosaic.planning.keys import KINDS, is_key
from mosaic.planning.operations import Operation, read_operations
from mosaic.planning.picture import Picture
from mosaic.planning.schemas import STATUSES, ChangeSet, Item, LinkedRun, Plan
from mosaic.planning.service import Plans

__all__ = [
    "KINDS",
    "STATUSES",
    "ChangeSet",
    "Item",
    "LinkedRun",
    "Operation",
    "Picture",
    "Plan",
    "Plans",
    "StalePlan",
    "is_key",
    "read_operations",
]

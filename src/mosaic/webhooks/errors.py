"""What is wrong with a change of a webhook, besides what `mosaic.core.errors` names.

::

    Conflict
    └── StaleWebhook    412  the webhook has changed since the version that the change was made for
"""

from mosaic.core.errors import Conflict

__all__ = ["StaleWebhook"]


class StaleWebhook(Conflict):
    """The webhook has changed since the version that a change was made for; nothing was written."""

    code = "stale_webhook"
    http_status = 412

"""Webhooks: addresses that are told of events, signed and at least once, and messages that come in."""

from mosaic.webhooks.cloud_events import MEDIA_TYPE, envelope
from mosaic.webhooks.deliverer import Deliverer
from mosaic.webhooks.errors import StaleWebhook
from mosaic.webhooks.incoming import Incoming, Proof, proven
from mosaic.webhooks.interfaces import FormMaker, Message
from mosaic.webhooks.keys import SecretMaker
from mosaic.webhooks.outbox import Standing
from mosaic.webhooks.patterns import matcher, pattern_problems
from mosaic.webhooks.receipts import Receipt, Receipts
from mosaic.webhooks.schemas import CONTROL_PLANE, Delivery, NewWebhook, Webhook, WebhookSettings
from mosaic.webhooks.service import Webhooks
from mosaic.webhooks.signed_events import SignedEvents

__all__ = [
    "CONTROL_PLANE",
    "MEDIA_TYPE",
    "Deliverer",
    "Delivery",
    "FormMaker",
    "Incoming",
    "Message",
    "NewWebhook",
    "Proof",
    "Receipt",
    "Receipts",
    "SecretMaker",
    "SignedEvents",
    "StaleWebhook",
    "Standing",
    "Webhook",
    "WebhookSettings",
    "Webhooks",
    "envelope",
    "matcher",
    "pattern_problems",
    "proven",
]

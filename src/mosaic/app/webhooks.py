"""The webhooks of an installation, from its settings."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mosaic.app.settings import Settings
from mosaic.core.context import Actor, Context
from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject
from mosaic.events import Bus, Journal
from mosaic.storage import Database
from mosaic.tools import Approvals, Deliveries, Inbound, Receipt, Webhook, WebhookKeys

__all__ = ["SignedAnswer", "Webhooks", "webhooks_of"]


class SignedAnswer(BaseModel):
    """What a webhook sends to answer an approval."""

    model_config = ConfigDict(extra="forbid")

    approval: str = Field(
        max_length=500, description="the id in the address, again: the signature covers only the body"
    )
    approve: bool
    note: str | None = Field(None, max_length=4000)
    arguments: dict[str, Any] | None = Field(None, description="run the tool with these arguments instead")
    changes: dict[str, Any] | None = Field(
        None, alias="set", max_length=100, description="or change single places: dotted place -> value"
    )
    answer: Any = Field(None, description="the answer to a question of a workflow")


def webhooks_of(settings: Settings) -> tuple[Webhook, ...]:
    """Return the webhooks that the settings declare."""
    return tuple(
        Webhook(
            name=name,
            secret=section.secret.secret,
            url=section.url,
            events=section.events,
            roles=section.roles,
            tolerance_s=section.tolerance_s,
        )
        for name, section in settings.approvals.webhooks.items()
    )


class Webhooks:
    """Tells webhooks of approvals, and takes their answers.

    Args:
        settings: which webhooks there are, and whose approvals.
        approvals: takes the answers.
        database: where it is noted what is still to be told.
        journal: what happened.
        bus: says that something did.
        redactor: learns the secrets.
        environ: where the secrets are.
        address: where this process serves.
    """

    def __init__(
        self,
        settings: Settings,
        approvals: Approvals,
        *,
        database: Database,
        journal: Journal,
        bus: Bus,
        redactor: Redactor,
        environ: Mapping[str, str],
        address: Callable[[], str | None],
    ) -> None:
        self._webhooks = webhooks = webhooks_of(settings)
        self._keys = keys = WebhookKeys(environ, redactor.add)
        self._approvals = approvals
        self._ctx = Context(settings.tenant, settings.project, Actor("system", "webhooks"))
        self._inbound = Inbound(webhooks, keys)
        self._tolerance_s = max((webhook.tolerance_s for webhook in webhooks), default=0.0)
        self.deliveries = Deliveries(
            database,
            journal,
            bus,
            webhooks,
            keys=keys,
            allowed_hosts=settings.tools.allow_private_hosts,
            address=address,
        )

    async def deliver(self) -> None:
        """Deliver for ever; returns at once when nobody is to be told."""
        await self.deliveries.run(self._ctx)

    async def status(self, ctx: Context) -> JsonObject:
        """Return the webhooks and what each has not heard yet. Addresses are shown as far as their host."""
        backlog = await self.deliveries.backlog(ctx)
        items: list[JsonObject] = []
        for webhook in self._webhooks:
            behind = backlog.get(webhook.name)
            items.append(
                {
                    "name": webhook.name,
                    "host": urlsplit(webhook.url).netloc.rpartition("@")[2] if webhook.url else None,
                    "events": list(webhook.events) if webhook.url else [],
                    "roles": list(webhook.roles),
                    "problem": self._problem(webhook),
                    "waiting": behind.waiting if behind else 0,
                    "given_up": behind.given_up if behind else 0,
                    "error": behind.error if behind else None,
                }
            )
        return {"items": items}

    def _problem(self, webhook: Webhook) -> str | None:
        try:
            self._keys.of(webhook)
        except InvalidInput as error:
            return error.message
        return None

    async def answer(self, approval_id: str, headers: Mapping[str, str], body: bytes) -> JsonObject:
        """Take a signed answer.

        Args:
            approval_id: which approval.
            headers: of the message, names in lower case.
            body: the message, as it was signed.

        Raises:
            Unauthenticated: if nobody has signed it who may answer.
            InvalidInput: if it is none, or is for another approval.
            Conflict: if it was taken before, or the approval is decided.
            PermissionDenied: if the webhook has none of the roles that may answer.
        """
        webhook, message_id = self._inbound.sender(headers, body)
        said = _parsed(body)
        if said.approval != approval_id:
            raise InvalidInput("The answer is for another approval than the address says.")
        # A message is accepted from this long before its timestamp until this long after it.
        receipt = Receipt(webhook.name, message_id, kept_s=4 * self._tolerance_s)
        decided = await self._approvals.decide(
            self._ctx.acting_as(Actor("webhook", webhook.name)),
            approval_id,
            approve=said.approve,
            receipt=receipt,
            note=said.note,
            arguments=said.arguments,
            changes=said.changes,
            answer=said.answer,
        )
        shown: JsonObject = decided.to_json()
        return {name: shown[name] for name in ("id", "status", "decided_by", "votes", "quorum")}


def _parsed(body: bytes) -> SignedAnswer:
    try:
        return SignedAnswer.model_validate_json(body)
    except ValidationError as error:
        problems = [
            Problem(str(item["msg"]), path=".".join(map(str, item["loc"])))
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise InvalidInput("The message is no answer to an approval.", problems=problems) from None

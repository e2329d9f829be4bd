"""The sections of the settings on webhooks, both ways, and on the control plane that this runtime belongs to."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from mosaic.app.sections import SecretName, Section
from mosaic.outbound import RETRY_S

__all__ = ["ControlPlaneSection", "EventWebhooksSection", "HookSection", "HookSignalSection"]

_Pause = Annotated[float, Field(ge=0, le=604_800, allow_inf_nan=False)]


def _listed(value: Any) -> Any:
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


class EventWebhooksSection(Section):
    """How webhooks that are told of events are delivered to; `mosaic webhooks` makes them."""

    retry_s: tuple[_Pause, ...] = Field(
        RETRY_S, max_length=50, description="Seconds between attempts; after the last one a delivery is dead."
    )
    timeout_s: float = Field(15.0, gt=0, le=120, description="For one attempt.")
    max_body_bytes: int = Field(262_144, ge=4_096, le=8_000_000, description="The longest message.")
    most: int = Field(100, ge=0, le=10_000, description="Webhooks of a tenant.")
    in_flight: int = Field(16, ge=1, le=256, description="Deliveries at once of one process.")
    disable_after: int = Field(
        10, ge=1, description="Attempts in a row that must fail before one is disabled."
    )
    disable_after_s: float = Field(259_200.0, ge=0, description="And for how long nothing must have arrived.")
    lease_s: float = Field(60.0, ge=5, le=3_600, description="When another node takes over from a dead one.")
    keep_s: float = Field(604_800.0, ge=0, description="For how long what has arrived is listed.")


class ControlPlaneSection(Section):
    """Who starts workflows here, and is told of what comes out."""

    url: str | None = Field(
        None, pattern=r"^https?://[^\s@]+$", max_length=1_000, description="Where artifacts are delivered."
    )
    secret: SecretName | None = Field(None, description="The variable with what X-Runtime-Secret says.")
    max_body_bytes: int = Field(4_000_000, ge=4_096, le=64_000_000, description="The longest delivery.")
    token_key: SecretName | None = Field(
        None, description="The variable with the public key (PEM) that its tokens (JWT) are signed with."
    )
    issuer: str | None = Field(None, max_length=500, description="What its tokens say of who issued them.")
    audience: str = Field("mosaic", max_length=500, description="What its tokens say of whom they are for.")

    @model_validator(mode="after")
    def _delivers_with_a_secret(self) -> "ControlPlaneSection":
        if self.url is not None and self.secret is None:
            raise ValueError("a `url` needs a `secret`: {secret: VARIABLE}")
        if self.token_key is not None and self.issuer is None:
            raise ValueError("a `token_key` needs an `issuer`")
        return self


class HookSignalSection(Section):
    """The signal that a message sends."""

    name: str = Field(min_length=1, max_length=200)
    run: str = Field(
        min_length=1, max_length=200, description="Where the message names the run: a.dotted.place"
    )


class HookSection(Section):
    """A place where messages come in, and what they start."""

    verify: Literal["standard", "github", "bearer"] = Field(
        "standard", description="How a sender proves itself: Standard Webhooks, GitHub, or a bearer secret."
    )
    secret: SecretName = Field(description="The variable with the secret.")
    events: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        ("*",),
        max_length=50,
        description="Which types of messages are taken; others are answered and ignored.",
    )
    workflow: str | None = Field(
        None, min_length=1, max_length=1_000, description="The workflow to start: its name, or its file."
    )
    input: str | None = Field(
        None,
        max_length=200,
        description="The input that gets the message; without it, its fields are inputs.",
    )
    inputs: dict[str, Any] = Field({}, description="Inputs that are always the same.")
    signal: HookSignalSection | None = Field(None, description="Or the signal to send.")
    project: str | None = Field(
        None, pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", description="Where its runs belong."
    )
    max_body_bytes: int = Field(1_000_000, ge=1, le=8_000_000)
    tolerance_s: float = Field(300.0, gt=0, le=300, description="How far its clock may be from ours.")
    keep_s: float = Field(604_800.0, ge=3_600, description="For how long a message is known again.")

    @model_validator(mode="after")
    def _does_one_thing(self) -> "HookSection":
        if (self.workflow is None) == (self.signal is None):
            raise ValueError("give either a workflow or a signal")
        return self

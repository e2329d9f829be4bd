"""Training a provider's model further on one's own examples."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from mosaic.core.values import JsonObject, JsonValue

__all__ = ["FineTune", "FineTuneEvent", "FineTuneRequest", "FineTuneStatus"]

FineTuneStatus = Literal["validating", "queued", "running", "paused", "succeeded", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class FineTuneRequest:
    """A training to start.

    Attributes:
        model: the base model.
        training_file, validation_file: ids of files that the provider keeps.
        method: the vendor's word for how to train.
        hyperparameters: the vendor's own, such as `n_epochs`; empty leaves them to it.
        suffix: part of the new model's name.
    """

    model: str
    training_file: str
    validation_file: str | None = None
    method: Literal["supervised", "dpo"] = "supervised"
    hyperparameters: dict[str, JsonValue] = field(default_factory=dict)
    suffix: str | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class FineTune:
    """A training.

    Attributes:
        result_model: the new model's name once the training has succeeded.
        trained_tokens: what is billed; None while it runs.
        error: why it failed, in the provider's words.
    """

    id: str
    model: str
    status: FineTuneStatus
    provider: str
    result_model: str | None = None
    trained_tokens: int | None = None
    error: str | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ("succeeded", "failed", "cancelled")

    def to_json(self) -> JsonObject:
        """Return the training as a JSON object."""
        return {
            "id": self.id,
            "model": self.model,
            "status": self.status,
            "provider": self.provider,
            "result_model": self.result_model,
            "trained_tokens": self.trained_tokens,
            "error": self.error,
            "created_at": self.created_at.isoformat() if self.created_at else None,
            "finished_at": self.finished_at.isoformat() if self.finished_at else None,
        }


@dataclass(frozen=True, slots=True)
class FineTuneEvent:
    """Something that a training reported."""

    id: str
    level: str
    message: str
    at: datetime

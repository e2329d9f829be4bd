"""Keys of outside clients, as other rooms see them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.values import JsonObject

__all__ = ["NO_LIMITS", "RUN_KEYS", "SCOPES", "KeyLimits", "KeySettings", "NewKey", "VirtualKey"]

SCOPES = frozenset({"chat", "embed", "count_tokens", "models", "tools"})
"""What a key may be used for. `tools`, the MCP server, must be named; the others are admitted by a key without scopes."""

RUN_KEYS = "command/"
"""Before a run's id: the id of the system's actor that makes keys for commands of it. Nobody from outside is one."""

_LONGEST_NAME = 200
_MOST_PATTERNS = 200
_HIGHEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class KeySettings:
    """How keys are kept in memory.

    Attributes:
        refresh_s: how long after a change another process may still trust what it read, when no wake reaches it.
        rotation_grace_s: how long the secret before a rotation stays good, unless the caller says otherwise.
    """

    refresh_s: float = 2.0
    rotation_grace_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """How much at once; None where there is no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None

    def to_json(self) -> JsonObject:
        """Return the limits as a JSON object."""
        return {
            "requests_per_minute": self.requests_per_minute,
            "tokens_per_minute": self.tokens_per_minute,
            "concurrency": self.concurrency,
        }


NO_LIMITS = KeyLimits()


@dataclass(frozen=True, slots=True)
class NewKey:
    """What somebody wants a key for.

    Attributes:
        name: for people; need not be unique.
        project: who pays; None for the caller's own project.
        models: patterns of the model names it may ask for, with ``*`` and ``?``; empty admits all.
        routes: patterns of the routes it may use; empty admits all.
        scopes: what it may be used for, of `SCOPES`; empty admits everything.
    """

    name: str
    project: str | None = None
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    limits: KeyLimits = NO_LIMITS

    def check(self, moment: datetime) -> None:
        """Check every field.

        Raises:
            InvalidInput: naming each that is wrong.
        """
        problems = [
            *_bad_text(self.name, "name"),
            *_bad_patterns(self.models, "models"),
            *_bad_patterns(self.routes, "routes"),
            *_bad_scopes(self.scopes),
            *_bad_limits(self.limits),
        ]
        if self.expires_at is not None and (self.expires_at.tzinfo is None or self.expires_at <= moment):
            problems.append(Problem("must be a time in the future, with its time zone", path="expires_at"))
        if problems:
            raise InvalidInput("The key cannot be made.", problems=problems)


@dataclass(frozen=True, slots=True)
class VirtualKey:
    """A key that the gateway accepts. Its secret is not here: it is shown once, when it is made.

    Attributes:
        prefix: the secret's first characters, for people to tell keys apart.
        models: patterns of model names; empty admits all.
        routes: patterns of routes; empty admits all.
        scopes: what it may be used for; empty admits everything.
        old_until: until when the secret before the last rotation is good.
    """

    id: str
    tenant: str
    project: str
    name: str
    prefix: str
    models: tuple[str, ...]
    routes: tuple[str, ...]
    scopes: frozenset[str]
    limits: KeyLimits
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    old_until: datetime | None = None

    @property
    def run_id(self) -> str | None:
        """The run that the key was made for, where it was made for a command of one."""
        prefix = f"system:{RUN_KEYS}"
        return self.created_by.removeprefix(prefix) if self.created_by.startswith(prefix) else None

    def admits_model(self, model: str) -> bool:
        """Say whether it may ask for a model."""
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)

    def admits_route(self, route: str) -> bool:
        """Say whether it may use a route."""
        return not self.routes or any(fnmatchcase(route, pattern) for pattern in self.routes)

    def admits(self, scope: str) -> bool:
        """Say whether it may be used for `scope`."""
        return not self.scopes or scope in self.scopes

    def status(self, moment: datetime) -> str:
        """Return ``active``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= moment else "active"

    def to_json(self, moment: datetime) -> JsonObject:
        """Return the key as a JSON object, with its status at `moment`."""
        return {
            "id": self.id,
            "name": self.name,
            "tenant": self.tenant,
            "project": self.project,
            "prefix": self.prefix,
            "status": self.status(moment),
            "models": list(self.models),
            "routes": list(self.routes),
            "scopes": sorted(self.scopes),
            "limits": self.limits.to_json(),
            "created_at": _iso(self.created_at),
            "created_by": self.created_by,
            "expires_at": _iso(self.expires_at),
            "revoked_at": _iso(self.revoked_at),
            "old_secret_until": _iso(self.old_until),
        }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment is not None else None


def _bad_text(text: str, path: str) -> list[Problem]:
    if not text.strip() or len(text) > _LONGEST_NAME or not text.isprintable():
        return [Problem(f"must be 1 to {_LONGEST_NAME} printable characters", path=path)]
    return []


def _bad_patterns(patterns: Iterable[str], path: str) -> list[Problem]:
    listed = tuple(patterns)
    if len(listed) > _MOST_PATTERNS:
        return [Problem(f"must be at most {_MOST_PATTERNS}", path=path)]
    return [problem for index, text in enumerate(listed) for problem in _bad_text(text, f"{path}[{index}]")]


def _bad_scopes(scopes: Iterable[str]) -> list[Problem]:
    return [
        Problem(
            f"there is no scope {scope!r}", path="scopes", suggestion=f"known: {', '.join(sorted(SCOPES))}"
        )
        for scope in scopes
        if scope not in SCOPES
    ]


def _bad_limits(limits: KeyLimits) -> list[Problem]:
    return [
        Problem("must be a whole number from 1", path=f"limits.{name}")
        for name, value in limits.to_json().items()
        if value is not None and not 1 <= value <= _HIGHEST
    ]

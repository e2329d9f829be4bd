"""Registered MCP servers and what is approved of their tools, as other rooms see them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.redaction import looks_secret, names_secret
from mosaic.core.values import JsonObject

__all__ = ["NewServer", "Pin", "PinState", "SecretReference", "ServerRecord"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_CREDENTIALS = ("authorization", "cookie", "token")
_MOST = 100
_LONGEST = 8_000

RESERVED = frozenset(
    {
        "files",
        "git",
        "shell",
        "http",
        "providers",
        "workflows",
        "runs",
        "mosaic",
        "mcp",
        "approvals",
        "artifacts",
    }
)
"""Namespaces of our own: a server of that name would stand in front of our tools."""


class PinState(StrEnum):
    """How a tool of a server stands."""

    PINNED = "pinned"  # as it was approved; callable
    NEW = "new"  # appeared after the server was added: destructive, whatever it says of itself
    QUARANTINED = "quarantined"  # changed, shadows another, or stopped by a person: not callable


@dataclass(frozen=True, slots=True)
class SecretReference:
    """A value that is read from the environment of the process that connects.

    Attributes:
        variable: its name.
        prefix: stands before the value, such as ``Bearer ``.
    """

    variable: str
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> "str | SecretReference":
        """Return what ``env:NAME`` or ``Bearer env:NAME`` refers to; any other text as it is."""
        before, found, variable = text.rpartition("env:")
        if not found or not _VARIABLE.fullmatch(variable) or (before and not before.endswith(" ")):
            return text
        return cls(variable, before)

    def __str__(self) -> str:
        return f"{self.prefix}env:{self.variable}"


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """An MCP server that a tenant registered.

    Attributes:
        name: the namespace of its tools.
        headers: text, or where to read it.
        environment: the same, for a stdio server.
        trust_annotations: take its word for which of its tools only read.
        confined: keep a stdio server from changing files outside its folder.
        accept_new: a tool that appears later is approved as it comes.
        tools: patterns of the tools that are used; empty means all.
    """

    name: str
    command: tuple[str, ...] = ()
    url: str | None = None
    headers: Mapping[str, str | SecretReference] = field(default_factory=dict)
    environment: Mapping[str, str | SecretReference] = field(default_factory=dict)
    trust_annotations: bool = False
    confined: bool = False
    accept_new: bool = False
    start_timeout_s: float = 30.0
    tools: tuple[str, ...] = ()
    created_at: datetime | None = None
    created_by: str = ""

    def offers(self, tool: str) -> bool:
        """Say whether a tool of it may be used at all."""
        return not self.tools or any(fnmatchcase(tool, pattern) for pattern in self.tools)

    def to_json(self) -> JsonObject:
        """Return what listings show; values of secrets are not known here."""
        return {
            "name": self.name,
            "command": list(self.command),
            "url": self.url,
            "headers": {name: str(value) for name, value in self.headers.items()},
            "environment": {name: str(value) for name, value in self.environment.items()},
            "trust_annotations": self.trust_annotations,
            "confined": self.confined,
            "accept_new": self.accept_new,
            "start_timeout_s": self.start_timeout_s,
            "tools": list(self.tools),
            "created_at": self.created_at.isoformat() if self.created_at else None,
            "created_by": self.created_by or None,
        }


@dataclass(frozen=True, slots=True)
class NewServer:
    """What somebody wants to register; `checked` makes a record of it.

    Attributes:
        headers: ``env:VARIABLE``, perhaps behind a word such as ``Bearer``, for everything that is secret.
        environment: the same.
    """

    name: str
    command: tuple[str, ...] = ()
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    trust_annotations: bool = False
    confined: bool = False
    accept_new: bool = False
    start_timeout_s: float = 30.0
    tools: tuple[str, ...] = ()

    def checked(self) -> ServerRecord:
        """Return the record.

        Raises:
            InvalidInput: naming each field that is wrong; a value that looks like a secret is not shown.
        """
        problems = [*self._wrong_place(), *self._wrong_values("headers", self.headers, _HEADER)]
        problems += self._wrong_values("environment", self.environment, _VARIABLE)
        if not 0 < self.start_timeout_s <= 600:  # ten minutes
            problems.append(Problem("must be more than 0 and at most 600 seconds", path="start_timeout_s"))
        if problems:
            raise InvalidInput(f"The MCP server {self.name[:60]!r} cannot be registered.", problems=problems)
        return ServerRecord(
            name=self.name,
            command=self.command,
            url=self.url,
            headers={name: SecretReference.parse(value) for name, value in self.headers.items()},
            environment={name: SecretReference.parse(value) for name, value in self.environment.items()},
            trust_annotations=self.trust_annotations,
            confined=self.confined,
            accept_new=self.accept_new,
            start_timeout_s=self.start_timeout_s,
            tools=self.tools,
        )

    def _wrong_place(self) -> list[Problem]:
        problems = []
        if not _NAME.fullmatch(self.name):
            problems.append(Problem("use a-z, 0-9, - and _, at most 50 characters", path="name"))
        if self.name in RESERVED:
            problems.append(Problem("this namespace holds tools of MosAIc itself", path="name"))
        if bool(self.command) == bool(self.url):
            problems.append(Problem("give either a command or a url", path="command"))
        parts = [*self.command, *self.tools]
        if len(parts) > _MOST or any(not part or len(part) > _LONGEST or "\0" in part for part in parts):
            problems.append(Problem("too many, too long or empty parts", path="command"))
        problems += [
            Problem(
                "holds a secret; give it to the server with --env NAME=env:VARIABLE", path=f"command[{index}]"
            )
            for index, part in enumerate(self.command)
            if looks_secret(part)
        ]
        if self.url and (wrong := _wrong_url(self.url)):
            problems.append(Problem(wrong, path="url"))
        return problems

    @staticmethod
    def _wrong_values(path: str, values: Mapping[str, str], names: "re.Pattern[str]") -> list[Problem]:
        problems = []
        for name, value in values.items():
            where = f"{path}.{name[:60]}"
            if not names.fullmatch(name) or len(value) > _LONGEST or any(sign in value for sign in "\0\r\n"):
                problems.append(Problem("is no name and value for this", path=where))
            secret = looks_secret(value) or names_secret(name) or name.lower() in _CREDENTIALS
            reference = SecretReference.parse(value)
            if isinstance(reference, SecretReference) and reference.variable.startswith("MOSAIC_"):
                problems.append(Problem("MosAIc's own secrets go to no server", path=where))
            if secret and isinstance(reference, str):
                problems.append(
                    Problem(
                        "may be a secret: secrets are named, not stored",
                        path=where,
                        suggestion="env:VARIABLE",
                    )
                )
        return problems


@dataclass(frozen=True, slots=True)
class Pin:
    """What is approved of one tool, and what it says now where that differs.

    Attributes:
        digest: of what is approved.
        definition: what is approved: name, description, schemas, annotations; hidden characters shown as escapes.
        offered_digest: of what the server shows now; None when that is what is approved.
        reason: why it is in quarantine.
        vanished_at: since when the server no longer offers it.
    """

    server: str
    tool: str
    state: PinState
    digest: str
    definition: JsonObject
    changed_at: datetime
    offered_digest: str | None = None
    offered: JsonObject | None = None
    reason: str | None = None
    vanished_at: datetime | None = None
    decided_by: str | None = None

    @property
    def name(self) -> str:
        """The tool's name here."""
        return f"{self.server}.{self.tool.replace('/', '_')}"

    @property
    def current(self) -> str:
        """The digest of what the server shows now: what an approval accepts."""
        return self.offered_digest or self.digest

    def to_json(self) -> JsonObject:
        """Return the pin as listings show it."""
        return {
            "name": self.name,
            "server": self.server,
            "tool": self.tool,
            "state": self.state.value,
            "digest": self.digest,
            "offered_digest": self.offered_digest,
            "reason": self.reason,
            "vanished_at": self.vanished_at.isoformat() if self.vanished_at else None,
            "changed_at": self.changed_at.isoformat(),
            "decided_by": self.decided_by,
        }


def _wrong_url(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return "is no address"
    if parts.scheme not in ("http", "https") or not host or len(url) > _LONGEST or any(map(str.isspace, url)):
        return "must be an http or https address"
    if parts.username or parts.password or looks_secret(url):
        return "holds a secret; send it with --header NAME=env:VARIABLE"
    return None

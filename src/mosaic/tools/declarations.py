"""The `tools:` section of a workflow: which tools it brings, which it narrows.

::

    tools:
      deploy: {mcp: ops, tool: deploy, risk: destructive, approval: {roles: [lead], timeout: 24h, on_timeout: deny}}
      docs: {mcp: {command: [python, docs_server.py]}, trust_annotations: true}
      lint: {python: "my_package.tools:lint"}
      score: {file: tools.py, function: score, risk: read_only}
      shell.run: {approval: {required: true}}

``mcp`` names a server of the settings, or describes one. With `tool` the entry is one tool of that server under its
own name; without, all its tools are there as ``<entry>.<tool>``. ``python`` names a tool that an installed package
offers (entry-point group ``mosaic.tools``). ``file`` is a Python file beside the workflow; its function runs in a
process of its own. An entry without a source narrows a tool that exists: it may raise its risk, never lower it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from mosaic.core.errors import InvalidDefinition, Problem
from mosaic.tools.nearest import nearest
from mosaic.tools.schemas import ApprovalRule, RiskClass, ToolEffect

__all__ = ["McpServer", "ToolDeclaration", "declaration_problems", "parse_declaration", "parse_duration"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9][A-Za-z0-9_-]*)*")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_PYTHON = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_SOURCES = ("mcp", "python", "file")


@dataclass(frozen=True, slots=True)
class McpServer:
    """How to reach an MCP server: a command to start, or an address.

    Attributes:
        command: program and arguments of a stdio server.
        url: the endpoint of a streamable HTTP server.
        headers: sent with each request; a secret comes as ``${NAME}`` and is read from our environment.
        environment: further variables of a stdio server; nothing of ours is inherited.
        trust_annotations: take the server's own word for what is read-only.
        start_timeout_s: how long it may take to answer at first.
    """

    command: tuple[str, ...] = ()
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    trust_annotations: bool = False
    start_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class ToolDeclaration:
    """One entry of a `tools:` section.

    Attributes:
        name: the entry's name.
        mcp: a server, or the name of one in the settings.
        tool: the one tool of that server that is meant; None means all.
        python: ``module:function`` of an installed package.
        file: a Python file, relative to the workflow.
        function: the function in that file.
        trust_annotations: take the server's own word for what is read-only.
    """

    name: str
    mcp: McpServer | str | None = None
    tool: str | None = None
    python: str | None = None
    file: str | None = None
    function: str | None = None
    risk: RiskClass | None = None
    effects: frozenset[ToolEffect] | None = None
    approval: ApprovalRule | None = None
    timeout_s: float | None = None
    description: str | None = None
    retries: bool | None = None
    trust_annotations: bool = False


def parse_declaration(name: str, entry: Mapping[str, Any]) -> ToolDeclaration:
    """Return one entry of a `tools:` section.

    Raises:
        InvalidDefinition: if something in it is wrong; it lists everything.
    """
    if problems := declaration_problems(name, entry):
        raise InvalidDefinition(f"The tool {name} is declared wrongly.", problems=problems)
    effects, mcp, approval = entry.get("effects"), entry.get("mcp"), entry.get("approval")
    return ToolDeclaration(
        name=name,
        mcp=parse_server(mcp) if isinstance(mcp, Mapping) else mcp,
        tool=entry.get("tool"),
        python=entry.get("python"),
        file=entry.get("file"),
        function=entry.get("function") or (name if "file" in entry else None),
        risk=RiskClass(entry["risk"]) if "risk" in entry else None,
        effects=frozenset(ToolEffect(effect) for effect in effects) if effects is not None else None,
        approval=parse_approval(approval) if approval is not None else None,
        timeout_s=parse_duration(entry["timeout"]) if "timeout" in entry else None,
        description=entry.get("description"),
        retries=entry.get("retries"),
        trust_annotations=bool(entry.get("trust_annotations", False)),
    )


def parse_server(entry: Mapping[str, Any]) -> McpServer:
    """Return the server that an already checked mapping describes."""
    command = entry.get("command", ())
    return McpServer(
        command=(command,) if isinstance(command, str) else tuple(command),
        url=entry.get("url"),
        headers=dict(entry.get("headers", {})),
        environment=dict(entry.get("environment", {})),
        trust_annotations=bool(entry.get("trust_annotations", False)),
        start_timeout_s=parse_duration(entry.get("start_timeout", 30)),
    )


def parse_approval(entry: Mapping[str, Any]) -> ApprovalRule:
    """Return the approval rule that an already checked mapping describes."""
    return ApprovalRule(
        roles=tuple(entry.get("roles", ())),
        timeout_s=parse_duration(entry["timeout"]) if "timeout" in entry else None,
        on_timeout=entry.get("on_timeout", "deny"),
        required=bool(entry.get("required", False)),
    )


def parse_duration(value: float | str) -> float:
    """Return seconds: a number, or text such as ``90s``, ``15m``, ``24h``, ``2d``.

    Raises:
        ValueError: if it is neither, or not above zero.
    """
    match = _DURATION.fullmatch(str(value).strip())
    if (
        match is None
        or isinstance(value, bool)
        or (seconds := float(match[1]) * _UNITS_S[match[2] or "s"]) <= 0
    ):
        raise ValueError(f"{value!r} is no duration")
    return seconds


def declaration_problems(name: str, entry: Any, *, path: str | None = None) -> list[Problem]:
    """Return everything that is wrong in one entry of a `tools:` section."""
    at = path if path is not None else f"tools.{name}"
    if not _NAME.fullmatch(name):
        return [
            Problem(f"{name!r} cannot name a tool", path=at, suggestion="letters, digits, '-', '_' and dots")
        ]
    if not isinstance(entry, Mapping):
        return [Problem("a tool is a mapping", path=at)]
    problems = _checked(entry, _ENTRY, at)
    sources = [key for key in _SOURCES if key in entry]
    if len(sources) > 1:
        problems.append(Problem(f"{' and '.join(sources)} exclude each other", path=at))
    for key, source in (("tool", "mcp"), ("function", "file"), ("trust_annotations", "mcp")):
        if key in entry and source not in entry:
            problems.append(Problem(f"{key} needs {source}", path=f"{at}.{key}"))
    return problems


def _checked(
    entry: Mapping[str, Any], known: Mapping[str, Callable[[Any], str | None]], at: str
) -> list[Problem]:
    problems = []
    for key, value in entry.items():
        if key not in known:
            close = nearest(str(key), known)
            tip = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
            problems.append(Problem(f"unknown key {key!r}", path=f"{at}.{key}", suggestion=tip))
        elif (wrong := known[key](value)) is not None:
            problems.append(Problem(wrong, path=f"{at}.{key}"))
        elif isinstance(value, Mapping) and key in ("mcp", "approval"):
            problems += _checked(value, _SERVER if key == "mcp" else _APPROVAL, f"{at}.{key}")
    if known is _SERVER and ("command" in entry) == ("url" in entry):
        problems.append(Problem("a server has either a command or a url", path=at))
    return problems


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "expected text"


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "expected true or false"


def _duration(value: Any) -> str | None:
    try:
        parse_duration(value)
    except ValueError:
        return f"{value!r} is no duration; expected something like 30s, 15m or 24h"
    return None


def _one_of(choices: type[RiskClass] | type[ToolEffect] | tuple[str, ...]) -> Callable[[Any], str | None]:
    names = [str(choice) for choice in choices]
    return lambda value: None if value in names else f"{value!r} is none of {', '.join(names)}"


def _many(check: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
    def all_of(value: Any) -> str | None:
        if not isinstance(value, list):
            return "expected a list"
        return next((wrong for item in value if (wrong := check(item)) is not None), None)

    return all_of


def _texts(value: Any) -> str | None:
    if isinstance(value, Mapping) and all(isinstance(item, str) for pair in value.items() for item in pair):
        return None
    return "expected a mapping of text to text"


def _command(value: Any) -> str | None:
    return (
        _text(value)
        if not isinstance(value, list)
        else _many(_text)(value)
        if value
        else "expected a program"
    )


def _url(value: Any) -> str | None:
    return (
        None
        if isinstance(value, str) and value.startswith(("http://", "https://"))
        else "expected an http(s) URL"
    )


def _python(value: Any) -> str | None:
    return None if isinstance(value, str) and _PYTHON.fullmatch(value) else "expected module:function"


def _file(value: Any) -> str | None:
    if not isinstance(value, str) or not value.endswith(".py"):
        return "expected a Python file"
    path = PurePosixPath(value)
    return "expected a path beside the workflow" if path.is_absolute() or ".." in path.parts else None


def _server(value: Any) -> str | None:
    return (
        None
        if isinstance(value, Mapping)
        else _text(value) and "expected a server's name, or its command or url"
    )


def _mapping(value: Any) -> str | None:
    return None if isinstance(value, Mapping) else "expected a mapping"


_ENTRY: Mapping[str, Callable[[Any], str | None]] = {
    "mcp": _server,
    "tool": _text,
    "python": _python,
    "file": _file,
    "function": _text,
    "risk": _one_of(RiskClass),
    "effects": _many(_one_of(ToolEffect)),
    "approval": _mapping,
    "timeout": _duration,
    "description": _text,
    "retries": _flag,
    "trust_annotations": _flag,
}
_SERVER: Mapping[str, Callable[[Any], str | None]] = {
    "command": _command,
    "url": _url,
    "headers": _texts,
    "environment": _texts,
    "trust_annotations": _flag,
    "start_timeout": _duration,
}
_APPROVAL: Mapping[str, Callable[[Any], str | None]] = {
    "roles": _many(_text),
    "timeout": _duration,
    "on_timeout": _one_of(("deny", "approve")),
    "required": _flag,
}

"""Who may call which tool on what at all: Cedar policies, parsed once.

Without a file everything is permitted; with one, only what a ``permit`` says, and a ``forbid`` always wins. A policy
that cannot be evaluated for a request refuses it: Cedar alone would skip it, and with it perhaps a ``forbid``.
"""

import importlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mosaic.core.context import Actor
from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.values import JsonObject
from mosaic.tools.policies.calls import PolicyCall
from mosaic.tools.policies.rules import Facts, RuleFailed

__all__ = ["PermissionRuling", "Permissions", "load_permissions"]

_MAX_CHARACTERS = 1_000_000
_MOST_POLICIES = 10_000
_KEY_PREFIX = "key_"
_TYPES = {"user": "User", "agent": "Agent", "system": "System", "webhook": "Webhook"}
_PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|;|[^"/;]+|/', re.DOTALL)
_TOKEN = re.compile(r"token `(.+?)`")


@dataclass(frozen=True, slots=True)
class PermissionRuling:
    """What the permissions say about a call.

    Attributes:
        permitted: whether it may be made at all.
        policies: the policies that decided, by their ``@id`` or their place; empty when none permits it.
        problem: why a policy could not be evaluated, where that decided.
    """

    permitted: bool
    policies: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def reason(self) -> str:
        """What decided, in words."""
        named = ", ".join(self.policies)
        if self.problem is not None:
            return f"the permissions could not be evaluated: {self.problem}"
        if self.permitted:
            return f"permitted by {named}"
        return f"the permissions forbid it ({named})" if named else "no permission permits it"


class Permissions:
    """A parsed set of Cedar policies.

    Attributes:
        roles: the roles that they name; only these are looked up for a caller.
    """

    def __init__(self, library: Any, text: str, file: str) -> None:
        self._library = library
        self._policies = library.PolicySet.from_str(text)
        parsed = json.loads(library.policies_to_json_str(text))
        static: Mapping[str, JsonObject] = parsed.get("staticPolicies", {})
        lines = [line for line, _, statement in _statements(text) if _has_code(statement)]
        self._names = {
            key: _name(policy, int(key.removeprefix("policy")), lines, file) for key, policy in static.items()
        }
        self._effects = {key: str(policy.get("effect")) for key, policy in static.items()}
        self.roles = tuple(sorted(set(_entities(parsed, "Role"))))

    def __len__(self) -> int:
        return len(self._names)

    def to_json(self) -> list[JsonObject]:
        """Return what listings show."""
        return [{"name": name, "effect": self._effects[key]} for key, name in self._names.items()]

    def judge(self, facts: Facts, roles: Sequence[str] = ()) -> PermissionRuling:
        """Say whether a call may be made.

        Args:
            facts: the call.
            roles: those of `roles` that the person behind it holds.
        """
        try:
            request = _request(facts)
        except RuleFailed as error:
            return PermissionRuling(permitted=False, problem=str(error))
        found = self._library.is_authorized(request, self._policies, _entity_list(facts.call, roles))
        told = found.diagnostics
        if told.errors or found.decision.value == "NoDecision":
            said = [self._renamed(error) for error in told.errors]
            return PermissionRuling(
                permitted=False, problem="; ".join(said)[:500] or "the request is not valid"
            )
        names = tuple(self._names.get(key, key) for key in sorted(told.reasons))
        return PermissionRuling(bool(found.allowed), names)

    def _renamed(self, error: str) -> str:
        return re.sub(r"`(policy\d+)`", lambda hit: f"`{self._names.get(hit[1], hit[1])}`", error)


def load_permissions(text: str, file: str = "") -> Permissions:
    """Return the permissions that a Cedar text holds.

    Raises:
        InvalidInput: naming each statement that is wrong, with file, line and column.
    """
    if len(text) > _MAX_CHARACTERS:
        raise InvalidInput(f"{file or 'The permissions'} has more than {_MAX_CHARACTERS} characters.")
    try:
        library = importlib.import_module("cedarpy")  # 10 ms, and most installations have no permissions
    except ImportError:
        raise InvalidInput(
            f"{file or 'The permissions'} cannot be used: cedarpy is not installed.",
            hint="Install it: pip install 'mosaicstack[permissions]'; or remove the file.",
        ) from None
    problems = list(_problems(library, text, file))
    if problems:
        raise InvalidInput(f"{file or 'The permissions'} cannot be used.", problems=problems)
    return Permissions(library, text, file)


def _problems(library: Any, text: str, file: str) -> Iterator[Problem]:
    """Yield what is wrong. The parser does not say where, so it is given one statement after the other."""
    count = 0
    for line, column, statement in _statements(text):
        if not _has_code(statement):
            continue
        count += 1
        try:
            parsed = library.PolicySet.from_str(statement)
        except ValueError as error:
            message = " ".join(str(error).split())[:300]
            token = _TOKEN.search(message)
            place = statement.rfind(token[1]) if token is not None else -1
            before = statement[: max(place, 0)]
            broken = before.count("\n")
            at = column + len(before) if not broken else len(before) - before.rfind("\n")
            yield Problem(f"not a Cedar policy: {message}", "", file, line + broken, at)
            continue
        if parsed.templates():
            yield Problem(
                "a template permits nothing here",
                "",
                file,
                line,
                column,
                "write the principal and resource out",
            )
    if count > _MOST_POLICIES:
        yield Problem(f"more than {_MOST_POLICIES} policies", "", file, 1, 1)


def _statements(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield line, column and text of each statement, up to its semicolon; strings and comments are passed over."""
    kept: list[str] = []
    start = position = 0
    for part in _PARTS.finditer(text):
        kept.append(part[0])
        position = part.end()
        if part[0] == ";":
            yield _placed(text, start, "".join(kept))
            kept, start = [], position
    if position < len(text):  # a string that does not end
        kept.append(text[position:])
    yield _placed(text, start, "".join(kept))


def _placed(text: str, start: int, statement: str) -> tuple[int, int, str]:
    skipped = len(statement) - len(_leading(statement))
    at = start + skipped
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at), statement[skipped:]


def _leading(statement: str) -> str:
    """Return a statement without white space and comments in front of it."""
    rest = statement.lstrip()
    while rest.startswith("//"):
        rest = rest.partition("\n")[2].lstrip()
    return rest


def _has_code(statement: str) -> bool:
    return bool(_leading(statement))


def _name(policy: JsonObject, number: int, lines: Sequence[int], file: str) -> str:
    given = (policy.get("annotations") or {}).get("id")
    if given:
        return str(given)
    return (
        f"{file.rpartition('/')[2] or 'permissions'}:{lines[number]}"
        if number < len(lines)
        else f"policy{number}"
    )


def _entities(value: Any, kind: str) -> Iterator[str]:
    """Yield the ids of the entities of a type that a policy names."""
    if isinstance(value, dict):
        if value.get("type") == kind and isinstance(value.get("id"), str):
            yield value["id"]
        for item in value.values():
            yield from _entities(item, kind)
    elif isinstance(value, list):
        for item in value:
            yield from _entities(item, kind)


def _request(facts: Facts) -> JsonObject:
    call = facts.call
    spelled = sorted({spelling for path in facts.paths for spelling in path})
    return {
        "principal": _principal(call),
        "action": {"type": "Action", "id": call.spec.known_as},
        "resource": {"type": "Project", "id": call.ctx.project},
        "context": {
            "agent": call.agent,
            "workflow": call.workflow,
            "run": call.run_id,
            "risk": call.spec.risk.value,
            "effects": sorted(effect.value for effect in call.spec.effects),
            "paths": spelled,
            "hosts": sorted(set(facts.hosts)),
        },
    }


def _entity_list(call: PolicyCall, roles: Sequence[str]) -> list[JsonObject]:
    """Return who and what the request is about: an agent stands below its owner, and he below his roles."""
    principal, owner = _principal(call), _uid(call.owner or call.ctx.actor)
    holder = owner if owner["type"] != "Agent" else principal
    above = [{"type": "Role", "id": role} for role in roles]
    entities = [_entity(holder, above)]
    if holder != principal:
        entities.append(_entity(principal, [holder]))
    groups = {f"risk:{call.spec.risk.value}", *(f"effect:{effect.value}" for effect in call.spec.effects)}
    parts = call.spec.known_as.split(".")
    groups |= {".".join(parts[:length]) for length in range(1, len(parts))}
    actions = [{"type": "Action", "id": group} for group in sorted(groups)]
    entities.append(_entity({"type": "Action", "id": call.spec.known_as}, actions))
    entities.append(
        _entity({"type": "Project", "id": call.ctx.project}, [{"type": "Tenant", "id": call.ctx.tenant}])
    )
    return entities


def _entity(uid: JsonObject, parents: Sequence[JsonObject]) -> JsonObject:
    return {"uid": uid, "attrs": {}, "parents": list(parents)}


def _principal(call: PolicyCall) -> JsonObject:
    return {"type": "Agent", "id": call.agent} if call.agent else _uid(call.ctx.actor)


def _uid(actor: Actor) -> JsonObject:
    kind = "Key" if actor.id.startswith(_KEY_PREFIX) else _TYPES[actor.kind]
    return {"type": kind, "id": actor.id}

"""A script, and the answer it has to a conversation."""

from dataclasses import dataclass
from typing import Any

from mosaic.core.errors import ContractViolation
from mosaic.core.values import JsonObject, JsonValue
from mosaic.plugins.scripted.condition import Condition
from mosaic.providers.ai import Message, ModelRequest
from mosaic.providers.interfaces import DeclaredPrice

__all__ = ["Answer", "Choice", "Scene", "Script", "Turn"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the script: the fields as written, with the groups filled in.

    Attributes:
        turn: which turn of the conversation it answers, from 0.
    """

    fields: JsonObject
    turn: int

    def get(self, name: str, default: JsonValue = None) -> Any:
        """Return one field as written."""
        return self.fields.get(name, default)


@dataclass(frozen=True, slots=True)
class Choice:
    """One possible answer, as written."""

    when: Condition | None
    fields: JsonObject


@dataclass(frozen=True, slots=True)
class Turn:
    """The possible answers at one place of a conversation; the first that fits is given."""

    choices: tuple[Choice, ...]
    repeat: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """A conversation: which ones it serves, and its turns."""

    when: Condition | None
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """A checked script."""

    name: str
    price: DeclaredPrice | None
    delay_s: float
    agents: dict[str, tuple[Scene, ...]]

    def answer(self, request: ModelRequest) -> Answer:
        """Return the answer to `request`: the same one whenever the same conversation is shown.

        Raises:
            ContractViolation: if the script has none; the message says what was looked for.
        """
        agent = request.metadata.get("agent", "*")
        scenes = self.agents.get(agent) or self.agents.get("*")
        if scenes is None:
            known = ", ".join(sorted(self.agents)) or "nobody"
            raise self._silence(f"has no part for the agent {agent!r} (it has: {known})", agent, request)
        turn = sum(message.role == "assistant" for message in request.messages)
        for scene in scenes:
            groups = scene.when.fits(request) if scene.when else {}
            if groups is not None:
                return self._from_scene(scene, groups, turn, agent, request)
        raise self._silence(f"has no scene for agent {agent!r} whose `when` fits", agent, request)

    def _from_scene(
        self, scene: Scene, groups: dict[str, str], turn: int, agent: str, request: ModelRequest
    ) -> Answer:
        if turn < len(scene.turns):
            current = scene.turns[turn]
        elif scene.turns[-1].repeat:
            current = scene.turns[-1]
        else:
            raise self._silence(
                f"has {len(scene.turns)} turns for agent {agent!r}, and this is turn {turn + 1}",
                agent,
                request,
            )
        for choice in current.choices:
            more = choice.when.fits(request) if choice.when else {}
            if more is not None:
                return Answer(_filled(choice.fields, groups | more), turn)
        raise self._silence(f"has no answer in turn {turn + 1} of agent {agent!r} that fits", agent, request)

    def _silence(self, what: str, agent: str, request: ModelRequest) -> ContractViolation:
        last = request.messages[-1] if request.messages else None
        heard = _heard(last)
        return ContractViolation(
            f"The script {self.name!r} {what}. The last message was: {heard}",
            hint="Add the missing turn to the script, or use a real model.",
            agent=agent,
        )


def _heard(message: Message | None) -> str:
    if message is None:
        return "(none)"
    texts = [message.text, *(getattr(part, "text", "") for part in message.parts)]
    shown = " ".join(text for text in texts if text).strip() or "(no text)"
    return repr(shown if len(shown) <= 300 else shown[:300] + "…")


def _filled(value: Any, groups: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in groups.items():
            value = value.replace(f"<<{name}>>", text)
        return value
    if isinstance(value, list):
        return [_filled(item, groups) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, groups) for key, item in value.items()}
    return value

"""Reads a script from YAML or JSON and names every problem in it."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from mosaic.core.errors import InvalidInput, NotFound, Problem, error_from_json
from mosaic.plugins.scripted.condition import Condition, parse_condition
from mosaic.plugins.scripted.script import Choice, Scene, Script, Turn
from mosaic.providers.ai import Usage
from mosaic.providers.interfaces import DeclaredPrice

__all__ = ["load_script", "parse_script"]

_SIZE_LIMIT_BYTES = 4_000_000
_SCRIPT_KEYS = frozenset({"scripted", "name", "price", "delay_s", "agents"})
_ANSWER_KEYS = frozenset(
    {"text", "output", "reasoning", "tool_calls", "delay_s", "error", "finish", "usage", "when", "repeat"}
)
_CALL_KEYS = frozenset({"tool", "arguments", "id", "raw"})
_ERROR_KEYS = frozenset({"code", "message", "hint", "retry_after_s", "attempts"})
_FINISHES = ("stop", "length", "content_filter")


def load_script(path: Path) -> Script:
    """Read and check the script at `path`.

    Raises:
        NotFound: if there is no such file.
        InvalidInput: if it is not a script; `problems` names each place.
    """
    try:
        if path.stat().st_size > _SIZE_LIMIT_BYTES:
            raise InvalidInput(f"The script {path} is larger than {_SIZE_LIMIT_BYTES:,} bytes.")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The script {path} is not UTF-8 text.") from error
    except OSError as error:
        raise NotFound(
            f"The script {path} cannot be read: {error.strerror}.",
            hint="Write `scripted:<path>` with the path of a script file.",
        ) from error
    return parse_script(text, name=path.stem, file=str(path))


def parse_script(text: str, *, name: str, file: str = "") -> Script:
    """Return the checked script written in `text`; `name` serves when the script names itself not.

    Raises:
        InvalidInput: if it is not a script; `problems` names each place.
    """
    try:
        shown = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        problem = Problem(str(error.problem or "not YAML"), file=file, line=where[0], column=where[1])
        raise InvalidInput(f"The script {file or name} is not YAML.", problems=[problem]) from error
    except YAMLError as error:
        raise InvalidInput(f"The script {file or name} is not YAML: {error}") from error
    return _Reader(file or name).script(shown, name)


class _Reader:
    """Reads a script and collects every problem on the way."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[Problem] = []

    def script(self, shown: Any, name: str) -> Script:
        if not isinstance(shown, dict):
            self._wrong("", "a script is a mapping with `scripted: 1` and `agents`")
            shown = {"scripted": 1, "agents": {}}
        self._known(shown, _SCRIPT_KEYS, "")
        if shown.get("scripted") != 1:
            self._wrong("scripted", "must be 1, the format's version")
        agents = shown.get("agents")
        if not isinstance(agents, dict):
            self._wrong("agents", "must map agent names to their turns")
            agents = {}
        read = {str(agent): tuple(self._scenes(part, f"agents.{agent}")) for agent, part in agents.items()}
        script = Script(
            name=str(shown.get("name") or name),
            price=self._price(shown.get("price")),
            delay_s=self._number(shown.get("delay_s", 0), "delay_s"),
            agents=read,
        )
        if self._problems:
            count = len(self._problems)
            raise InvalidInput(
                f"The script {self._file} has {count} problem{'s' * (count > 1)}: {self._problems[0]}",
                problems=self._problems,
                hint="docs/reference/providers.md describes the format.",
            )
        return script

    def _wrong(self, path: str, message: str) -> None:
        self._problems.append(Problem(message, path=path))

    def _known(self, shown: dict[Any, Any], keys: frozenset[str], path: str) -> None:
        for key in shown:
            if key not in keys:
                self._wrong(f"{path}.{key}".lstrip("."), f"unknown key; known are {', '.join(sorted(keys))}")

    def _number(self, value: Any, path: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            self._wrong(path, "must be a number, 0 or more")
            return 0.0
        return float(value)

    def _price(self, shown: Any) -> DeclaredPrice | None:
        if shown is None:
            return None
        if not isinstance(shown, dict):
            self._wrong("price", "must have `input_usd_per_mtok` and `output_usd_per_mtok`")
            return None
        self._known(shown, frozenset({"input_usd_per_mtok", "output_usd_per_mtok"}), "price")
        return DeclaredPrice(
            self._number(shown.get("input_usd_per_mtok"), "price.input_usd_per_mtok"),
            self._number(shown.get("output_usd_per_mtok"), "price.output_usd_per_mtok"),
        )

    def _scenes(self, part: Any, path: str) -> Iterator[Scene]:
        if not isinstance(part, list) or not part:
            self._wrong(path, "must be a list of turns, or of scenes with `turns`")
            return
        if not any(isinstance(item, dict) and "turns" in item for item in part):
            yield Scene(None, self._turns(part, path))
            return
        for index, item in enumerate(part):
            at = f"{path}[{index}]"
            if not isinstance(item, dict) or not isinstance(item.get("turns"), list) or not item["turns"]:
                self._wrong(at, "where one item is a scene, all are: each needs `turns`, a list")
                continue
            self._known(item, frozenset({"when", "turns"}), at)
            yield Scene(self._when(item.get("when"), at), self._turns(item["turns"], f"{at}.turns"))

    def _turns(self, shown: Sequence[Any], path: str) -> tuple[Turn, ...]:
        turns = [self._turn(item, f"{path}[{index}]") for index, item in enumerate(shown)]
        for index, turn in enumerate(turns[:-1]):
            if turn.repeat:
                self._wrong(f"{path}[{index}].repeat", "only the last turn may repeat")
        return tuple(turns)

    def _turn(self, shown: Any, path: str) -> Turn:
        if isinstance(shown, dict) and "first_of" in shown:
            self._known(shown, frozenset({"first_of", "repeat"}), path)
            options = shown["first_of"]
            if not isinstance(options, list) or not options:
                self._wrong(f"{path}.first_of", "must be a list of answers")
                options = []
            choices = tuple(
                self._choice(option, f"{path}.first_of[{index}]") for index, option in enumerate(options)
            )
            return Turn(choices, shown.get("repeat") is True)
        choice = self._choice(shown, path)
        return Turn((choice,), choice.fields.get("repeat") is True)

    def _choice(self, shown: Any, path: str) -> Choice:
        if not isinstance(shown, dict):
            self._wrong(path, "must be an answer: a mapping with `text`, `output`, `tool_calls` or `error`")
            return Choice(None, {})
        self._known(shown, _ANSWER_KEYS, path)
        if not shown.keys() & {"text", "output", "tool_calls", "error", "reasoning"}:
            self._wrong(path, "says nothing: give it `text`, `output`, `tool_calls` or `error`")
        for index, call in enumerate(self._list(shown.get("tool_calls"), f"{path}.tool_calls")):
            self._call(call, f"{path}.tool_calls[{index}]")
        self._error(shown.get("error"), f"{path}.error")
        if shown.get("finish", "stop") not in _FINISHES:
            self._wrong(f"{path}.finish", f"must be one of {', '.join(_FINISHES)}")
        if "delay_s" in shown:
            self._number(shown["delay_s"], f"{path}.delay_s")
        self._usage(shown.get("usage", {}), f"{path}.usage")
        return Choice(self._when(shown.get("when"), path), shown)

    def _list(self, value: Any, path: str) -> list[Any]:
        if value is None or isinstance(value, list):
            return value or []
        self._wrong(path, "must be a list")
        return []

    def _call(self, call: Any, path: str) -> None:
        if not isinstance(call, dict) or not isinstance(call.get("tool"), str):
            self._wrong(path, "must be a mapping with `tool` and `arguments`")
            return
        self._known(call, _CALL_KEYS, path)
        if not isinstance(call.get("arguments", {}), dict):
            self._wrong(f"{path}.arguments", "must be a mapping; write `raw` for a malformed text")

    def _error(self, error: Any, path: str) -> None:
        if error is None:
            return
        if not isinstance(error, dict) or not isinstance(error.get("code"), str):
            self._wrong(path, "must be a mapping with `code`")
            return
        self._known(error, _ERROR_KEYS, path)
        code = error["code"]
        if type(error_from_json({"code": code})).code != code:
            self._wrong(f"{path}.code", f"{code!r} is not an error code; see docs/reference/providers.md")
        for name in ("attempts", "retry_after_s"):
            if name in error:
                self._number(error[name], f"{path}.{name}")

    def _usage(self, usage: Any, path: str) -> None:
        known = Usage().to_json()
        if not isinstance(usage, dict):
            self._wrong(path, "must map figures such as `input_tokens` to numbers")
            return
        self._known(usage, frozenset(known), path)
        for name, value in usage.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                self._wrong(f"{path}.{name}", "must be a whole number, 0 or more")

    def _when(self, shown: Any, path: str) -> Condition | None:
        if shown is None:
            return None
        try:
            return parse_condition(shown)
        except (InvalidInput, re.error) as error:
            self._wrong(f"{path}.when", str(error))
            return None

"""The settings file: read, searched for secrets, and asked for the line of a setting that is wrong."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mosaic.core.errors import InvalidInput, Problem, Unavailable
from mosaic.core.redaction import looks_secret
from mosaic.core.values import JsonObject

__all__ = ["CONFIG_NAMES", "find_config", "place_of", "read_config", "secret_problems"]

CONFIG_NAMES = ("config.yaml", "config.yml", "config.json")
_SECRET_WORDS = ("key", "secret", "password", "passwd", "token", "credential", "authorization")
_NOT_SECRET = ("token_file", "max_tokens", "tokens")
_MAX_CONFIG_BYTES = 256 * 1024
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")


def find_config(home: Path) -> Path | None:
    """Return the settings file of an installation, when it has one."""
    return next((home / name for name in CONFIG_NAMES if (home / name).is_file()), None)


def read_config(path: Path) -> JsonObject:
    """Return what a settings file holds.

    Raises:
        InvalidInput: if it is no mapping in YAML or JSON. Nothing of its content is part of the message.
        Unavailable: if it cannot be read.
    """
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8", errors="replace") if size <= _MAX_CONFIG_BYTES else ""
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be read: {error.strerror}.", hint="Check its owner and mode."
        ) from None
    if size > _MAX_CONFIG_BYTES:
        raise InvalidInput(f"{path} is larger than {_MAX_CONFIG_BYTES} bytes.")
    loaded = _from_json(path, text) if path.suffix == ".json" else _from_yaml(path, text)
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise InvalidInput(f"{path} must hold a mapping of settings.")
    return {str(key): value for key, value in loaded.items()}


def _from_json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        problem = Problem(error.msg, file=str(path), line=error.lineno, column=error.colno)
    except RecursionError:
        problem = Problem("too many levels", file=str(path), line=1, column=1)
    raise InvalidInput(f"{path} is not valid JSON.", problems=[problem])


def _from_yaml(path: Path, text: str) -> Any:
    from ruamel.yaml import YAML  # noqa: PLC0415  # start-up time: most commands find no file
    from ruamel.yaml.constructor import DuplicateKeyError  # noqa: PLC0415
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    line, column = 1, 1
    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        # The parser's own words on a key given twice hold both values, and one may be a secret.
        twice = isinstance(error, DuplicateKeyError)
        message = "this key is given twice" if twice else error.problem or "not valid YAML"
    except (YAMLError, RecursionError, ValueError):
        message = "not valid YAML"
    problem = Problem(message, file=str(path), line=line, column=column)
    raise InvalidInput(f"{path} is not valid YAML.", problems=[problem])


def place_of(path: Path, location: Sequence[object]) -> tuple[int, int]:
    """Return the line and column of a setting, or of the nearest one around it that is in the file; else zeros."""
    if path.suffix == ".json":
        return 0, 0
    from ruamel.yaml import YAML  # noqa: PLC0415
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        node: Any = YAML(typ="rt", pure=True).load(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, YAMLError):
        return 0, 0
    found = (0, 0)
    for part in location:
        marks = getattr(node, "lc", None)
        try:
            line, column = marks.key(part) if isinstance(node, dict) else marks.item(part)  # type: ignore[union-attr]
            node = node[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
        found = (line + 1, column + 1)
    return found


def secret_problems(value: Any, path: Path, location: tuple[object, ...] = ()) -> list[Problem]:
    """Return a problem for everything in a settings file that is or looks like a secret; never its value."""
    if isinstance(value, dict):
        if _is_reference(value):
            return []
        return [
            problem
            for key, item in value.items()
            for problem in (
                [_misplaced(path, (*location, key))]
                if _is_secret_field(str(key), item)
                else secret_problems(item, path, (*location, key))
            )
        ]
    if isinstance(value, list):
        return [
            problem
            for index, item in enumerate(value)
            for problem in secret_problems(item, path, (*location, index))
        ]
    if isinstance(value, str) and (looks_secret(value) or _has_password(value)):
        line, column = place_of(path, location)
        return [
            Problem(
                "this value looks like a secret",
                shown(location),
                str(path),
                line,
                column,
                "use the environment",
            )
        ]
    return []


def shown(location: Sequence[object]) -> str:
    """Return a location as people write it: ``tools.allow_private_hosts[0]``."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(parts).removeprefix(".")


def _is_reference(value: JsonObject) -> bool:
    """Say whether a mapping names a variable that holds a secret: ``{secret: NAME, prefix: "Bearer "}``."""
    name = value.get("secret")
    return set(value) <= {"secret", "prefix"} and isinstance(name, str) and bool(_VARIABLE.fullmatch(name))


def _is_secret_field(key: str, item: object) -> bool:
    name = key.lower()
    named = any(word in name for word in _SECRET_WORDS) and name not in _NOT_SECRET
    return named and isinstance(item, str) and bool(item)


def _misplaced(path: Path, location: tuple[object, ...]) -> Problem:
    is_provider = len(location) > 2 and location[0] == "providers"
    variable = f"{str(location[1]).upper()}_API_KEY" if is_provider else "its variable"
    line, column = place_of(path, location)
    message = "a secret does not belong in a file"
    return Problem(message, shown(location), str(path), line, column, f"set {variable}")


def _has_password(text: str) -> bool:
    _, separator, rest = text.partition("://")
    authority = rest.split("/", 1)[0]
    return bool(separator) and "@" in authority and ":" in authority.rsplit("@", 1)[0]

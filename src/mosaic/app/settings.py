"""Settings: one file (`.mosaic/config.yaml` or `.json`), overridden by the environment, checked against a schema.

Order, later wins: defaults, the file, `MOSAIC_*` variables (``MOSAIC_SERVER__PORT=8123`` sets ``server.port``),
command-line options. Secrets are read from the environment only; one found in the file is refused and never shown.
"""

import difflib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.redaction import looks_secret
from mosaic.core.values import JsonObject

__all__ = ["CONFIG_NAMES", "Settings", "find_home", "load_settings"]

CONFIG_NAMES = ("config.yaml", "config.yml", "config.json")
_SECRET_WORDS = ("key", "secret", "password", "token", "credential")
_NOT_SECRET = ("token_file", "max_tokens", "tokens")
_MAX_CONFIG_BYTES = 256 * 1024


class Section(BaseModel):
    """A part of the settings; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSection(Section):
    """Where `mosaic up` listens."""

    host: str = Field("127.0.0.1", description="Address to bind. Beyond loopback needs MOSAIC_OWNER_TOKEN.")
    port: int = Field(8420, ge=0, le=65535, description="Port; 0 picks a free one.")
    allowed_hosts: tuple[str, ...] = Field((), description="Extra Host header names that are accepted.")


class StorageSection(Section):
    """Which database."""

    url: str | None = Field(None, description="PostgreSQL URL without a password, or empty for SQLite.")
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    pool_size: int = Field(10, ge=1, le=200)


class PoolSection(Section):
    """Limits of one agent pool."""

    concurrency: int = Field(100, ge=1, le=10_000, description="Agent jobs at once over all nodes.")
    per_tenant: int | None = Field(None, ge=1, description="Agent jobs at once of one tenant.")
    per_node: int | None = Field(None, ge=1, description="Agent jobs at once on one node.")


class EngineSection(Section):
    """Durable execution."""

    heartbeat_s: float = Field(1.0, gt=0, le=60)
    lease_ttl_s: float = Field(5.0, gt=0, le=600)
    max_recoveries: int = Field(5, ge=1, le=100)
    drain_s: float = Field(10.0, ge=0, le=600)
    retry_budget: int = Field(20, ge=0, le=10_000, description="Retries one run may use, over all its steps.")


class ProviderSection(Section):
    """Settings of one model provider; its key comes from the environment."""

    base_url: str | None = None
    timeout_s: float | None = Field(None, gt=0)
    enabled: bool = True


class ToolsSection(Section):
    """The tool door."""

    allow_private_hosts: tuple[str, ...] = Field(
        (),
        description="Private hosts or networks that http.request and MCP over HTTP may reach, such as 127.0.0.1.",
    )


class LimitsSection(Section):
    """Defaults for a run that names none."""

    usd: float | None = Field(5.0, ge=0)
    tokens: int | None = Field(None, ge=0)


class Settings(Section):
    """Everything `mosaic` can be told."""

    home: Path = Path(".mosaic")
    tenant: str = Field("local", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    project: str = Field("default", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    server: ServerSection = ServerSection()
    storage: StorageSection = StorageSection()
    engine: EngineSection = EngineSection()
    pools: dict[str, PoolSection] = {"default": PoolSection()}
    providers: dict[str, ProviderSection] = {}
    tools: ToolsSection = ToolsSection()
    limits: LimitsSection = LimitsSection()

    @property
    def database_url(self) -> str:
        """The database this installation uses; MOSAIC_DATABASE_URL may carry a password."""
        return (
            os.environ.get("MOSAIC_DATABASE_URL")
            or self.storage.url
            or f"sqlite+aiosqlite:///{self.home / 'mosaic.db'}"
        )


def find_home(start: Path | None = None) -> Path:
    """Return the data folder: MOSAIC_HOME, else the nearest `.mosaic` at or above `start`, else a new one there."""
    if configured := os.environ.get("MOSAIC_HOME"):
        return Path(configured).expanduser().absolute()
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / ".mosaic").is_dir():
            return folder / ".mosaic"
    return here / ".mosaic"


def load_settings(
    home: Path | None = None, *, environ: Mapping[str, str] | None = None, overrides: JsonObject | None = None
) -> Settings:
    """Read and check the settings of the installation at `home`.

    Raises:
        InvalidInput: naming each wrong key or value with its file; a secret's value is never part of it.
    """
    home = home or find_home()
    environ = os.environ if environ is None else environ
    values: JsonObject = {}
    source = ""
    for name in CONFIG_NAMES:
        path = home / name
        if path.is_file():
            values, source = _read(path), str(path)
            break
    problems = list(_secrets(values, source, ""))
    if problems:
        raise InvalidInput(
            f"{source} holds a secret.",
            problems=problems,
            hint="Remove it from the file, revoke it if the file was shared, and set the environment variable instead.",
        )
    _merge(values, _from_environment(environ))
    _merge(values, overrides or {})
    values["home"] = str(home)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise InvalidInput(
            f"The settings in {source or 'the environment'} are not valid.",
            problems=[_problem(dict(item), source) for item in error.errors(include_input=False)],
            hint="`mosaic doctor` shows the settings in force.",
        ) from None


def _read(path: Path) -> JsonObject:
    from ruamel.yaml import YAML  # noqa: PLC0415  # start-up time: most commands find no file
    from ruamel.yaml.error import MarkedYAMLError  # noqa: PLC0415

    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise InvalidInput(f"{path} is larger than {_MAX_CONFIG_BYTES} bytes.")
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        loaded: Any = json.loads(text) if path.suffix == ".json" else YAML(typ="safe", pure=True).load(text)
    except json.JSONDecodeError as error:
        problem = Problem(error.msg, file=str(path), line=error.lineno, column=error.colno)
        raise InvalidInput(f"{path} is not valid JSON.", problems=[problem]) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        problem = Problem(error.problem or "not valid YAML", file=str(path), line=line, column=column)
        raise InvalidInput(f"{path} is not valid YAML.", problems=[problem]) from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise InvalidInput(f"{path} must hold a mapping of settings.")
    return loaded


def _secrets(value: Any, file: str, path: str) -> list[Problem]:
    found: list[Problem] = []
    if isinstance(value, dict):
        for key, item in value.items():
            place = f"{path}.{key}" if path else str(key)
            lower = str(key).lower()
            named = any(word in lower for word in _SECRET_WORDS) and lower not in _NOT_SECRET
            if named and isinstance(item, str) and item:
                variable = (
                    f"{path.rsplit('.', 1)[-1].upper()}_API_KEY"
                    if path.startswith("providers.")
                    else "its variable"
                )
                found.append(
                    Problem("a secret does not belong in a file", place, file, suggestion=f"set {variable}")
                )
            else:
                found.extend(_secrets(item, file, place))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found.extend(_secrets(item, file, f"{path}[{index}]"))
    elif isinstance(value, str) and (looks_secret(value) or _has_password(value)):
        found.append(Problem("this value looks like a secret", path, file, suggestion="use the environment"))
    return found


def _has_password(text: str) -> bool:
    _, separator, rest = text.partition("://")
    authority = rest.split("/", 1)[0]
    return bool(separator) and "@" in authority and ":" in authority.rsplit("@", 1)[0]


def _from_environment(environ: Mapping[str, str]) -> JsonObject:
    values: JsonObject = {}
    sections = set(Settings.model_fields) - {"home"}
    for name, text in environ.items():
        if not name.startswith("MOSAIC_"):
            continue
        keys = name.removeprefix("MOSAIC_").lower().split("__")
        if keys[0] not in sections:
            continue
        target = values
        for key in keys[:-1]:
            target = target.setdefault(key, {})
        target[keys[-1]] = text
    return values


def _merge(target: JsonObject, extra: JsonObject) -> None:
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value


def _problem(item: dict[str, Any], file: str) -> Problem:
    location = ".".join(str(part) for part in item["loc"])
    if item["type"] != "extra_forbidden":
        return Problem(str(item["msg"]), location, file)
    section: type[BaseModel] = Settings
    for part in item["loc"][:-1]:
        field = section.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            section = annotation
    near = difflib.get_close_matches(str(item["loc"][-1]), section.model_fields, n=1)
    known = ", ".join(sorted(section.model_fields))
    return Problem(
        "unknown setting",
        location,
        file,
        suggestion=f"did you mean {near[0]}?" if near else f"known: {known}",
    )

"""Settings: one file (`.mosaic/config.yaml` or `.json`), overridden by the environment, checked against a schema.

Order, later wins: defaults, the file, `MOSAIC_*` variables (``MOSAIC_SERVER__PORT=8123`` sets ``server.port``),
command-line options. Secrets are read from the environment only; one found in the file is refused and never shown.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from mosaic.app.config_file import CONFIG_NAMES, find_config, place_of, read_config, secret_problems, shown
from mosaic.app.hook_sections import ControlPlaneSection, EventWebhooksSection, HookSection
from mosaic.app.sections import (
    A2aSection,
    ApprovalsSection,
    CacheSection,
    CostSection,
    EngineSection,
    GatewaySection,
    InferenceSection,
    LimitsSection,
    LogsSection,
    McpSection,
    PoolSection,
    ProviderSection,
    Section,
    ServerSection,
    StorageSection,
    ToolsSection,
)
from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.values import JsonObject

__all__ = ["CONFIG_NAMES", "Settings", "find_home", "load_settings"]

_DATABASE_VARIABLE = "MOSAIC_DATABASE_URL"
_NOT_IN_A_FILE = ("home", "secret_url")


class Settings(Section):
    """Everything `mosaic` can be told."""

    home: Path = Path(".mosaic")
    tenant: str = Field("local", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    project: str = Field("default", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    server: ServerSection = ServerSection()
    storage: StorageSection = StorageSection()
    engine: EngineSection = EngineSection()
    pools: dict[str, PoolSection] = Field({"default": PoolSection()}, description="Agent pools by name.")
    providers: dict[str, ProviderSection] = Field({}, description="Model providers by name.")
    inference: InferenceSection = InferenceSection()
    cost: CostSection = CostSection()
    gateway: GatewaySection = GatewaySection()
    mcp: McpSection = McpSection()
    a2a: A2aSection = A2aSection()
    cache: CacheSection = CacheSection()
    routing: dict[str, Any] = Field(
        {}, description="Routes and rules, where they have no file of their own (`routes.yaml`)."
    )
    tools: ToolsSection = ToolsSection()
    policies: dict[str, Literal["allow", "ask", "deny"]] = Field(
        {}, description="The installation's policy by effect, risk class or tool; workflows narrow it."
    )
    approvals: ApprovalsSection = ApprovalsSection()
    webhooks: EventWebhooksSection = EventWebhooksSection()
    hooks: dict[str, HookSection] = Field({}, description="Where messages come in, by name.")
    control_plane: ControlPlaneSection = ControlPlaneSection()
    limits: LimitsSection = LimitsSection()
    logs: LogsSection = LogsSection()
    # From MOSAIC_DATABASE_URL, which may carry a password: never in a file, never shown.
    secret_url: str | None = Field(None, exclude=True, repr=False)

    @property
    def database_url(self) -> str:
        """The database this installation uses."""
        return self.secret_url or self.storage.url or f"sqlite+aiosqlite:///{self.home / 'mosaic.db'}"


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

    Args:
        home: the data folder; None finds it.
        environ: where variables are looked up; by default this process's.
        overrides: what wins over everything, as command-line options do.

    Raises:
        InvalidInput: naming each wrong key or value with its place; a secret's value is never part of it.
        Unavailable: if the file cannot be read.
    """
    home = home or find_home()
    environ = os.environ if environ is None else environ
    path = find_config(home)
    values = read_config(path) if path is not None else {}
    if path is not None and (problems := secret_problems(values, path)):
        raise InvalidInput(
            f"{path} holds a secret.",
            problems=problems,
            hint="Remove it from the file, revoke it if the file was shared, and set the environment variable instead.",
        )
    # Not for a file to say; under another name it is reported as what it is, an unknown setting.
    values = {f"{key} " if key in _NOT_IN_A_FILE else key: value for key, value in values.items()}
    values = _merged(_merged(values, _from_environment(environ)), overrides or {})
    values |= {"home": str(home), "secret_url": environ.get(_DATABASE_VARIABLE) or None}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise InvalidInput(
            f"The settings in {path or 'the environment'} are not valid.",
            problems=[
                _problem(dict(item), path) for item in error.errors(include_input=False, include_url=False)
            ],
            hint="docs/reference/cli.md lists them; `mosaic init` writes a commented file.",
        ) from None


def _from_environment(environ: Mapping[str, str]) -> JsonObject:
    values: JsonObject = {}
    sections = set(Settings.model_fields) - set(_NOT_IN_A_FILE)
    for name, text in environ.items():
        keys = name.removeprefix("MOSAIC_").lower().split("__")
        if not name.startswith("MOSAIC_") or keys[0] not in sections:
            continue
        target = values
        for key in keys[:-1]:
            inner = target.setdefault(key, {})
            if not isinstance(inner, dict):
                break
            target = inner
        else:
            target[keys[-1]] = text
    return values


def _merged(base: JsonObject, extra: JsonObject) -> JsonObject:
    merged = dict(base)
    for key, value in extra.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged


def _problem(item: dict[str, Any], path: Path | None) -> Problem:
    location = tuple(item["loc"])
    where = shown(location)
    file, line, column = "", 0, 0
    if path is not None:
        line, column = place_of(path, location)
        file = str(path) if line else ""
    if item["type"] != "extra_forbidden":
        return Problem(
            f"{where}: {str(item['msg']).removeprefix('Value error, ')}", where, file, line, column
        )
    known = _section(location[:-1]).model_fields.keys() - set(_NOT_IN_A_FILE)
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    suggestion = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
    return Problem(f"{where}: unknown setting", where, file, line, column, suggestion)


def _section(location: tuple[object, ...]) -> type[BaseModel]:
    """Return the class of the section at a location; the whole settings when it is not known."""
    section: type[BaseModel] = Settings
    for part in location:
        field = section.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            section = annotation
    return section

"""`conformance.yaml`: how a plugin's vendor answers, in a few lines, so that the kit can play the vendor.

For models::

    conformance: 1
    config: {base_url: "{endpoint}/v1", api_key: conformance-key-0123456789}
    model: some-model
    says: Hello, world.                       # what both answers below say
    usage: {input_tokens: 11, output_tokens: 7}
    answer: {body: {...}}                     # the vendor's whole answer
    stream: {events: [...]}                   # or `lines: [...]`; an event is data, or {event: name, data: ...}
    models: {body: {...}}                     # what lists the models
    error: {error: {type: "{kind}", message: "{message}"}}

For resources::

    conformance: 1
    config: {base_url: "{endpoint}", token: conformance-token-0123456789}
    resources:
      repository:
        collection: /repos                    # the vendor's path, without the base address
        item: /repos/{id}
        list_field: items                     # where a listing holds them; left out when the body is the list
        create: {name: first}                 # fields, in MosAIc's words
        change: {name: renamed}
        parent: ""
    error: {message: "{message}"}
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from mosaic.core.errors import InvalidInput, NotFound
from mosaic.core.values import JsonObject
from mosaic.providers.plugin_sources import InstalledSource, PluginSource
from mosaic.providers.plugins_dir import FolderSource
from mosaic.providers.testing.endpoint import Reply, Then, event_reply, json_reply, line_reply

__all__ = ["SAMPLE_NAME", "ResourceSample", "Sample", "find_sample", "read_sample"]

SAMPLE_NAME = "conformance.yaml"
_ERROR: JsonObject = {"error": {"type": "{kind}", "message": "{message}"}}
_FIELDS = {
    "conformance",
    "config",
    "model",
    "says",
    "usage",
    "answer",
    "stream",
    "models",
    "error",
    "resources",
}


@dataclass(frozen=True, slots=True)
class ResourceSample:
    """One kind of resource: its paths, and fields to make and change one with."""

    kind: str
    collection: str
    item: str
    create: JsonObject
    change: JsonObject
    list_field: str = ""
    parent: str = ""
    id_field: str = "id"


@dataclass(frozen=True, slots=True)
class Sample:
    """A vendor, as far as the kit needs to play it."""

    config: JsonObject
    model: str = ""
    says: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    answer: JsonObject = field(default_factory=dict)
    stream: JsonObject = field(default_factory=dict)
    models: JsonObject | None = None
    error: Any = field(default_factory=lambda: _ERROR)
    resources: tuple[ResourceSample, ...] = ()

    def config_at(self, url: str) -> JsonObject:
        """Return the configuration for an endpoint at `url`."""
        config: JsonObject = _filled(self.config, {"{endpoint}": url})
        return config

    def reply(self) -> Reply:
        """Return the vendor's whole answer."""
        return json_reply(self.answer.get("body"))

    def streamed(self, *, then: Then = "end", keep: int | None = None) -> Reply:
        """Return the vendor's answer in pieces; `keep` cuts it after that many."""
        if "lines" in self.stream:
            return line_reply(self.stream["lines"][:keep], then=then)
        events = [
            (item["event"], item["data"])
            if isinstance(item, dict) and set(item) == {"event", "data"}
            else item
            for item in self.stream["events"]
        ]
        return event_reply(events[:keep], then=then)

    @property
    def pieces(self) -> int:
        """How many pieces a streamed answer has."""
        return len(self.stream.get("lines") or self.stream.get("events") or ())

    def refusal(
        self, status: int, *, kind: str = "some_error", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Return the vendor's answer of an error."""
        body = _filled(self.error, {"{kind}": kind, "{message}": f"refused with {status}"})
        return json_reply(body, status=status, headers=headers)


def find_sample(source: PluginSource) -> Sample:
    """Return the sample that a plugin brings, or ours for the vendor.

    Raises:
        NotFound: if there is none.
        InvalidInput: if it is wrong.
    """
    if isinstance(source, FolderSource):
        path = source.folder / SAMPLE_NAME
        if path.is_file():
            return read_sample(path.read_text(encoding="utf-8"), where=str(path))
    elif isinstance(source, InstalledSource):
        brought = resources.files(source.entry.module) / SAMPLE_NAME
        if brought.is_file():
            return read_sample(
                brought.read_text(encoding="utf-8"), where=f"{source.entry.module}/{SAMPLE_NAME}"
            )
    ours = resources.files("mosaic.providers.testing") / "samples" / f"{source.id}.yaml"
    if ours.is_file():
        return read_sample(ours.read_text(encoding="utf-8"), where=f"samples/{source.id}.yaml")
    raise NotFound(
        f"The plugin {source.id!r} brings no {SAMPLE_NAME}.",
        hint="Write one that shows how its vendor answers; docs/howto/write-a-provider-plugin.md shows the form.",
    )


def read_sample(text: str, *, where: str) -> Sample:
    """Return the sample written in `text`.

    Raises:
        InvalidInput: if it is not one.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        shown: Any = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise InvalidInput(f"{where} is not valid YAML: {error}") from None
    if (
        not isinstance(shown, dict)
        or shown.get("conformance") != 1
        or not isinstance(shown.get("config"), dict)
    ):
        raise InvalidInput(f"{where} must hold `conformance: 1` and a `config`.")
    if unknown := set(shown) - _FIELDS:
        raise InvalidInput(f"{where} has unknown fields: {', '.join(sorted(unknown))}.")
    given = {name: value for name, value in shown.items() if name not in ("conformance", "resources")}
    try:
        kinds = tuple(
            ResourceSample(kind, **fields) for kind, fields in (shown.get("resources") or {}).items()
        )
    except TypeError as error:
        raise InvalidInput(f"{where} describes a resource wrongly: {error}.") from None
    return Sample(resources=kinds, **given)


def _filled(value: Any, places: Mapping[str, str]) -> Any:
    text = json.dumps(value)
    for place, filling in places.items():
        text = text.replace(place, json.dumps(filling)[1:-1])
    return json.loads(text)

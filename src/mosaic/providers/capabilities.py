"""What each provider can do, operation by operation: supported, partial or unsupported, and why."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from mosaic.core.values import JsonObject
from mosaic.providers.interfaces import (
    AiProvider,
    Embedder,
    FileStore,
    FineTuner,
    ModelStore,
    Moderator,
    Speaker,
    TokenCounter,
    Transcriber,
    Wire,
    WireSpeaker,
)
from mosaic.providers.manifest import ProviderKind, ProviderManifest, Support
from mosaic.providers.resources import ResourceProvider

__all__ = ["OPERATIONS", "capabilities_of_plugin", "dishonest", "matrix_row"]

OPERATIONS: dict[ProviderKind, tuple[str, ...]] = {
    "ai": (
        "complete", "stream", "tools", "structured_output", "vision", "embeddings", "count_tokens", "models", "pass_through",
        "transcription", "speech", "moderation", "fine_tuning", "files", "local_models",
    ),
    "git": (
        "repositories", "branches", "branch_protection", "commits", "comparisons", "tags", "releases", "change_requests",
        "reviews", "commit_statuses", "issues", "labels", "webhooks", "collaborators", "mirrors",
    ),
    "ci": (
        "pipelines", "trigger", "cancel", "rerun", "runs", "jobs", "logs", "log_stream", "artifacts", "environments", "secrets",
        "variables", "schedules", "webhooks",
    ),
    "knowledge": (
        "spaces", "containers", "pages", "page_tree", "attachments", "comments", "revisions", "search", "labels", "permissions",
        "templates", "export", "webhooks",
    ),
    "projects": (
        "projects", "work_items", "states", "cycles", "links", "comments", "fields", "labels", "attachments", "search", "webhooks",
    ),
    "automation": ("workflows", "activate", "execute", "triggers", "executions", "credentials", "webhooks"),
}  # fmt: skip
"""The operations that each kind of provider is asked about: the rows of the matrix."""

_BY_INTERFACE: dict[str, type[Any]] = {
    "complete": AiProvider,
    "stream": AiProvider,
    "models": AiProvider,
    "embeddings": Embedder,
    "count_tokens": TokenCounter,
    "pass_through": WireSpeaker,
    "transcription": Transcriber,
    "speech": Speaker,
    "moderation": Moderator,
    "fine_tuning": FineTuner,
    "files": FileStore,
    "local_models": ModelStore,
}
_OF_MODELS: dict[str, Callable[[Any], bool]] = {
    "tools": lambda able: bool(able.tools),
    "structured_output": lambda able: bool(able.structured_output),
    "vision": lambda able: bool(able.images),
}
_YES = Support("supported")


def capabilities_of_plugin(manifest: ProviderManifest, provider: Any) -> dict[str, Support]:
    """Return how far each operation is supported.

    What the manifest declares counts; for the rest, what the provider's interfaces and models show. An operation that
    neither speaks of is unsupported: nobody can call what is not there.
    """
    found: dict[str, Support] = {}
    for kind in manifest.kinds:
        for operation in OPERATIONS[kind]:
            found[operation] = manifest.operations.get(operation) or _shown_by(
                provider, operation, kind, manifest
            )
    return found | {name: support for name, support in manifest.operations.items() if name not in found}


def _shown_by(provider: Any, operation: str, kind: ProviderKind, manifest: ProviderManifest) -> Support:
    if kind == "ai":
        interface = _BY_INTERFACE.get(operation)
        if interface is not None:
            if isinstance(provider, interface) and (
                operation != "pass_through" or _speaks(provider, manifest)
            ):
                return _YES
            return Support("unsupported", f"the plugin {manifest.id} does not offer it")
        return _shown_by_models(provider, operation, manifest)
    offered = provider.resources() if isinstance(provider, ResourceProvider) else {}
    if any(operation in (f"{name}s", f"{name[:-1]}ies", f"{name}es", name) for name in offered):
        return _YES
    return Support("unsupported", f"the plugin {manifest.id} does not offer it")


def _speaks(provider: WireSpeaker, manifest: ProviderManifest) -> bool:
    model = next(iter(manifest.default_models), "")
    return any(provider.endpoint(wire, model, stream=False) is not None for wire in get_args(Wire))


def _shown_by_models(provider: Any, operation: str, manifest: ProviderManifest) -> Support:
    model = next(iter(manifest.default_models), "")
    able = provider.capabilities(model)
    if _OF_MODELS[operation](able):
        return Support("partial", "depends on the model")
    return Support("unsupported", f"the models of {manifest.id} do not, unless one says otherwise")


def dishonest(manifest: ProviderManifest, provider: Any) -> list[str]:
    """Return what the manifest claims and the provider does not show, one sentence each."""
    wrong = []
    for operation, support in manifest.operations.items():
        known = any(operation in OPERATIONS[kind] for kind in manifest.kinds)
        interface = _BY_INTERFACE.get(operation) if "ai" in manifest.kinds else None
        if not known:
            kinds = ", ".join(manifest.kinds)
            wrong.append(f"{operation!r} is no operation of the kinds {kinds}")
        elif interface is not None and support.level != "unsupported" and not isinstance(provider, interface):
            wrong.append(
                f"{operation!r} is declared {support.level}, but the provider is no {interface.__name__}"
            )
    if isinstance(provider, ResourceProvider):
        wrong += _dishonest_resources(manifest, provider)
    return wrong


def _dishonest_resources(manifest: ProviderManifest, provider: ResourceProvider) -> list[str]:
    shown = {
        operation: _shown_by(provider, operation, kind, manifest).level
        for kind in manifest.kinds
        if kind != "ai"
        for operation in OPERATIONS[kind]
    }
    return [
        f"{operation!r} is declared unsupported, but the provider offers it"
        for operation, support in manifest.operations.items()
        if support.level == "unsupported" and shown.get(operation) == "supported"
    ]


def matrix_row(name: str, manifest: ProviderManifest, capabilities: Mapping[str, Support]) -> JsonObject:
    """Return one row of the machine-readable matrix."""
    return {
        "provider": name,
        "plugin": manifest.id,
        "version": manifest.version,
        "kinds": list(manifest.kinds),
        "operations": {operation: support.to_json() for operation, support in capabilities.items()},
    }

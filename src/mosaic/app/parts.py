"""The rooms' own settings, made from the installation's."""

from collections.abc import Mapping
from importlib import resources
from typing import Any

from mosaic import __version__
from mosaic.app.sections import PoolSection, PriceSection, ProviderSection, QuotaSection
from mosaic.app.settings import Settings
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject
from mosaic.cost import CostSettings, Quota, QuotaSettings, TokenPrice
from mosaic.engine import EngineSettings, QueueLimits, RetryPolicy
from mosaic.inference import InferenceSettings
from mosaic.providers import ProviderRegistry
from mosaic.storage import StorageSettings

__all__ = [
    "make_cost",
    "make_engine",
    "make_inference",
    "make_providers",
    "make_quotas",
    "make_storage",
    "newest_schema",
    "provider_settings",
    "queue_of",
]

_DEFAULT_QUEUE = "agents"


def make_storage(settings: Settings) -> StorageSettings:
    """Return where data is kept."""
    section = settings.storage
    return StorageSettings(
        url=settings.database_url,
        data_dir=settings.home,
        synchronous=section.synchronous,
        busy_timeout_ms=section.busy_timeout_ms,
        pool_size=section.pool_size,
    )


def newest_schema() -> str:
    """Return the newest revision of the schema that this release knows: its migrations are numbered files."""
    folder = resources.files("mosaic.storage") / "migrations" / "versions"
    return max(entry.name.partition("_")[0] for entry in folder.iterdir() if entry.name[:1].isdigit())


def make_engine(settings: Settings) -> EngineSettings:
    """Return how executions run; every agent pool has a queue of its own."""
    section = settings.engine
    queues = {queue_of(pool): _limits(limits) for pool, limits in settings.pools.items()}
    queues.setdefault(_DEFAULT_QUEUE, _limits(PoolSection()))
    return EngineSettings(
        app_version=__version__,
        queues=queues,
        heartbeat_s=section.heartbeat_s,
        lease_ttl_s=section.lease_ttl_s,
        max_recoveries=section.max_recoveries,
        drain_s=section.drain_s,
        retry_budget=section.retry_budget,
    )


def queue_of(pool: str) -> str:
    """Return the queue in which the jobs of an agent pool wait."""
    return _DEFAULT_QUEUE if pool == "default" else f"{_DEFAULT_QUEUE}-{pool}"


def _limits(section: PoolSection) -> QueueLimits:
    return QueueLimits(
        concurrency=section.concurrency,
        per_tenant_concurrency=section.per_tenant,
        per_node_concurrency=section.per_node or min(section.concurrency, 100),
    )


def make_providers(
    settings: Settings, *, redactor: Redactor, environ: Mapping[str, str] | None = None
) -> ProviderRegistry:
    """Return the providers of this installation: of packages, and of the folders below its `plugins`."""
    given, disabled = provider_settings(settings)
    return ProviderRegistry(
        redactor=redactor,
        settings=given,
        environment=environ,
        disabled=disabled,
        directory=settings.home / "plugins",
    )


def provider_settings(settings: Settings) -> tuple[dict[str, JsonObject], list[str]]:
    """Return what the settings say of each provider and the names to leave out, as `ProviderRegistry.reload` takes it."""
    given = {name: _provider(section) for name, section in settings.providers.items()}
    return given, [name for name, section in settings.providers.items() if not section.enabled]


def _provider(section: ProviderSection) -> JsonObject:
    return section.model_dump(exclude={"enabled"}, exclude_none=True)


def make_cost(settings: Settings) -> CostSettings:
    """Return what models cost here."""
    section = settings.cost
    return CostSettings({model: _price(price) for model, price in section.prices.items()}, section.unpriced)


def make_quotas(settings: Settings) -> QuotaSettings:
    """Return how much calls from outside may use at once and per minute."""
    section = settings.cost.quotas
    return QuotaSettings(
        tenants={name: _quota(quota) for name, quota in section.tenants.items()},
        projects={name: _quota(quota) for name, quota in section.projects.items()},
        keys=_quota(section.keys),
    )


def _quota(section: QuotaSection) -> Quota:
    return Quota(**section.model_dump())


def _price(section: PriceSection) -> TokenPrice:
    return TokenPrice(**section.model_dump())


def make_inference(settings: Settings) -> InferenceSettings:
    """Return how models are chosen and called."""
    section = settings.inference
    chosen: dict[str, Any] = {} if section.defaults is None else {"defaults": section.defaults}
    retry = section.retry
    return InferenceSettings(
        **chosen,
        max_output_tokens=section.max_output_tokens,
        least_output_tokens=min(section.least_output_tokens, section.max_output_tokens),
        retry=RetryPolicy(
            attempts=retry.attempts, base_s=retry.base_s, factor=retry.factor, max_s=retry.max_s
        ),
        check_ttl_s=section.check_ttl_s,
    )

"""Where calls of models can go: the configured providers' models, as the router knows them."""

from mosaic.core.errors import MosaicError
from mosaic.cost import PriceBook
from mosaic.providers import ModelCapabilities, ProviderRegistry
from mosaic.providers.catalog import DEFAULT_MODELS, known_families
from mosaic.routing import Target, Targets

__all__ = ["find_targets"]

_NANOS_PER_MTOK = 1_000_000


def find_targets(providers: ProviderRegistry, prices: PriceBook) -> Targets:
    """Return the models that the catalogue knows of each provider; any other is made when it is asked for."""

    def resolve(provider: str, model: str | None) -> Target | None:
        if model is None or provider not in providers.names("ai"):
            return None
        try:
            able = providers.ai(provider).capabilities(model)
        except MosaicError:
            return None  # not configured, or its plugin is broken: `mosaic providers list` says why
        return _target(providers, prices, provider, model, able)

    known = []
    for name in providers.names("ai"):
        plugin = providers.instance(name).plugin
        for model in dict.fromkeys((*DEFAULT_MODELS.get(plugin, ()), *known_families(plugin))):
            target = resolve(name, model)
            if target is not None:
                known.append(target)
    return Targets(known, resolve=resolve)


def _target(
    providers: ProviderRegistry, prices: PriceBook, provider: str, model: str, able: ModelCapabilities
) -> Target:
    attributes = dict(providers.instance(provider).attributes)
    price = prices.price_of(provider, model, able)
    return Target(
        id=f"{provider}:{model}",
        kind="ai",
        provider=provider,
        model=model,
        attributes=attributes,
        region=_text(attributes.get("region")),
        residency=_texts(attributes.get("residency")),
        compliance=_texts(attributes.get("compliance")),
        local=bool(attributes.get("local", able.local)),
        capabilities=_capabilities(able),
        context_tokens=able.context_tokens,
        input_nanos_per_token=round(price.rates.input / _NANOS_PER_MTOK) if price is not None else None,
        output_nanos_per_token=round(price.rates.output / _NANOS_PER_MTOK) if price is not None else None,
    )


def _capabilities(able: ModelCapabilities) -> frozenset[str]:
    # Where a model has no form for structured output its adapter asks in words, and checks.
    return able.features | {"structured_output"} | ({"images"} if able.images else set())


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset({value})
    return frozenset(str(item) for item in value) if isinstance(value, list | tuple) else frozenset()

"""Where calls of models can go: the configured providers' models, as the router knows them."""

from dataclasses import replace

from mosaic.cost import PriceList
from mosaic.providers import ProviderRegistry
from mosaic.providers.catalog import DEFAULT_MODELS, known_families
from mosaic.routing import Target, Targets
from mosaic.routing.catalog import ProviderTargets

__all__ = ["find_targets"]

# Where a model has no form for it, its adapter asks in words, and checks.
_ALWAYS = frozenset({"structured_output"})


def find_targets(providers: ProviderRegistry, prices: PriceList) -> Targets:
    """Return the models that the catalogue knows of each provider; any other is made when it is asked for."""
    names = providers.names("ai")
    attributes = {name: providers.instance(name).attributes for name in names}
    found = ProviderTargets(providers, prices=prices, attributes=attributes)

    def resolve(provider: str, model: str | None) -> Target | None:
        target = found(provider, model)
        return replace(target, capabilities=target.capabilities | _ALWAYS) if target is not None else None

    known = []
    for name in names:
        plugin = providers.instance(name).plugin
        for model in dict.fromkeys((*DEFAULT_MODELS.get(plugin, ()), *known_families(plugin))):
            target = resolve(name, model)
            if target is not None:
                known.append(target)
    return Targets(known, resolve=resolve)

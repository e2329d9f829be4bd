"""Targets of the installation's providers: what they say of themselves, priced."""

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonValue
from mosaic.routing.schemas import Target

if TYPE_CHECKING:  # a router without providers needs neither a database library nor theirs
    from mosaic.cost import PriceList
    from mosaic.providers import ModelCapabilities, ProviderRegistry

__all__ = ["ProviderTargets", "target_of"]

_SETS = frozenset({"residency", "compliance", "capabilities"})
_OWN = frozenset(field.name for field in fields(Target)) - {"id", "kind", "provider", "model", "attributes"}
_MANY = 1_000_000


def target_of(
    provider: str,
    model: str | None,
    *,
    kind: str = "ai",
    capabilities: "ModelCapabilities | None" = None,
    prices: "PriceList | None" = None,
    attributes: Mapping[str, JsonValue] | None = None,
) -> Target:
    """Return the target of a provider instance and its model.

    Args:
        provider: the instance's name.
        model: the vendor's name; None for kinds without models.
        kind: the provider kind.
        capabilities: what the provider says of the model.
        prices: where its price is looked up; may read the public list, which takes tenths of a second once.
        attributes: the instance's attributes: fields of `Target` such as `region`, and anything rules may ask for.
    """
    given = dict(attributes or {})
    told: dict[str, Any] = {
        name: frozenset(_names(given.pop(name))) if name in _SETS else given.pop(name)
        for name in _OWN & given.keys()
    }
    if capabilities is not None:
        told.setdefault("local", capabilities.local)
        told.setdefault("context_tokens", capabilities.context_tokens)
        told["capabilities"] = told.get("capabilities", frozenset()) | capabilities.features
    if prices is not None and model is not None:
        told.setdefault("input_nanos_per_token", _price(prices, provider, model, (_MANY, 0), capabilities))
        told.setdefault("output_nanos_per_token", _price(prices, provider, model, (0, _MANY), capabilities))
    identifier = provider if model is None else f"{provider}:{model}"
    return Target(identifier, kind, provider, model, attributes=given, **told)


def _names(value: JsonValue) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _price(
    prices: "PriceList",
    provider: str,
    model: str,
    tokens: tuple[int, int],
    capabilities: "ModelCapabilities | None",
) -> int | None:
    from mosaic.providers import Usage  # noqa: PLC0415  # beside its only use

    found = prices.price(provider, model, Usage(*tokens), capabilities=capabilities)
    return None if found is None else -(-found.nanos // _MANY)


class ProviderTargets:
    """Gives the target of any model of the installation's AI providers; the `resolve` of `Targets`."""

    def __init__(
        self,
        registry: "ProviderRegistry",
        *,
        prices: "PriceList | None" = None,
        attributes: Mapping[str, Mapping[str, JsonValue]] | None = None,
    ) -> None:
        """Ask `registry` for capabilities and `prices` for prices; `attributes` is by instance."""
        self._registry = registry
        self._prices = prices
        self._attributes = attributes or {}

    def __call__(self, provider: str, model: str | None) -> Target | None:
        """Return the target; None when there is no such provider, or no model is named."""
        if model is None or provider not in self._registry.names():
            return None
        try:
            capabilities = self._registry.ai(provider).capabilities(model)
        except MosaicError:
            capabilities = None  # not configured here; what it can do is not known, and calls will say why
        return target_of(
            provider,
            model,
            capabilities=capabilities,
            prices=self._prices,
            attributes=self._attributes.get(provider),
        )

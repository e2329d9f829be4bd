"""The context says who acts where, and passes on what caused what."""

import pytest

from mosaic.core.clock import now
from mosaic.core.context import Actor, Context
from mosaic.core.errors import TenantViolation

CTX = Context(tenant="t1", project="p1", actor=Actor("user", "u1"))


@pytest.mark.parametrize("text", ["user:u1", "agent:coder", "system:scheduler", "webhook:git:hub"])
def test_an_actor_is_read_back_as_it_was_written(text: str) -> None:
    assert str(Actor.parse(text)) == text


@pytest.mark.parametrize("text", ["", "root:u1", "user", "User:u1"])
def test_what_is_no_actor_is_refused(text: str) -> None:
    if text == "user":  # a kind alone has an empty id
        assert Actor.parse(text) == Actor("user", "")
        return
    with pytest.raises(ValueError, match="not an actor"):
        Actor.parse(text)


def test_a_context_changes_by_copies() -> None:
    as_agent = CTX.acting_as(Actor("agent", "coder"))
    inside = as_agent.correlated("run_1", "evt_1")
    assert (str(CTX.actor), str(inside.actor)) == ("user:u1", "agent:coder")
    assert (inside.correlation, inside.causation) == ("run_1", "evt_1")
    assert inside.correlated("run_2").causation == "evt_1"
    assert CTX.correlation is None


@pytest.mark.requirement("MOZ-126")
def test_another_tenants_value_is_refused_without_naming_the_tenant() -> None:
    CTX.require_tenant("t1")
    with pytest.raises(TenantViolation) as refused:
        CTX.require_tenant("secret-customer")
    assert "secret-customer" not in str(refused.value.to_json())


def test_the_clock_is_aware_and_in_utc() -> None:
    offset = now().utcoffset()
    assert offset is not None
    assert offset.total_seconds() == 0

"""What makes two requests the same, and what keeps them apart."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.cache import key_prefix, purge_prefix, request_key, scope_of
from mosaic.core.errors import InvalidInput

ASKED = {
    "model": "gpt-6",
    "temperature": 0.2,
    "messages": [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Capital of France?"},
    ],
}


def key(body=None, *, wire="openai.chat", tenant="t1", route="fast", **changes):
    fields = {**ASKED, **changes} if body is None else body
    return request_key(wire, json.dumps(fields).encode(), tenant=tenant, route=route)


def test_the_order_of_fields_and_spaces_do_not_matter():
    turned = {name: ASKED[name] for name in reversed(ASKED)}
    turned["messages"] = [dict(reversed(turn.items())) for turn in ASKED["messages"]]
    spaced = json.dumps(turned, indent=4).encode()
    assert request_key("openai.chat", spaced, tenant="t1", route="fast") == key()


def test_parsed_fields_and_bytes_give_the_same_key_and_fields_are_left_as_they_are():
    fields = {**ASKED, "user": "someone"}
    assert request_key("openai.chat", fields, tenant="t1", route="fast") == key()
    assert fields["user"] == "someone"


@pytest.mark.parametrize(
    "label",
    [
        {"user": "u"}, {"metadata": {"user_id": "7"}}, {"safety_identifier": "s"}, {"prompt_cache_key": "k"},
        {"service_tier": "flex"}, {"store": True},
    ],
)  # fmt: skip
def test_labels_do_not_matter(label):
    assert key(**label) == key()


@pytest.mark.parametrize(
    "change",
    [
        {"model": "gpt-7"}, {"temperature": 0.3}, {"seed": 1}, {"max_tokens": 5}, {"stream": True},
        {"messages": list(reversed(ASKED["messages"]))}, {"tools": [{"type": "function"}]},
        {"stream_options": {"include_usage": True}}, {"a_field_of_next_year": 1},
    ],
)  # fmt: skip
def test_what_changes_the_answer_changes_the_key(change):
    assert key(**change) != key()


def test_tenant_route_and_wire_keep_requests_apart():
    keys = {key(), key(tenant="t2"), key(route="slow"), key(wire="openai.responses")}
    assert len(keys) == 4
    assert len({k.rpartition("/")[2] for k in keys}) == 4, "the hash alone tells them apart too"


@pytest.mark.parametrize(
    "stateful", [{"previous_response_id": "resp_1"}, {"conversation": "c"}, {"background": True}]
)
def test_an_answer_that_depends_on_what_the_vendor_remembers_has_no_key(stateful):
    assert key(**stateful) is None
    assert key(**dict.fromkeys(stateful)) is not None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b'{"a": "\xff"}', b"[" * 100_000])
def test_hostile_bodies_are_refused(body):
    with pytest.raises(InvalidInput):
        request_key("openai.chat", body, tenant="t1", route="r")


def test_large_numbers_stay_different():
    assert key(seed=2**64 + 1) != key(seed=2**64 + 2)
    assert key(seed=10**40 + 1) != key(seed=10**40)


@given(st.text(), st.text(), st.text(), st.text())
def test_no_names_of_tenants_and_routes_can_reach_into_another_tenant(tenant, route, other, other_route):
    def of(who, where):
        return request_key("w", b"{}", tenant=who, route=where)

    mine = of(tenant, route)
    assert mine.startswith(purge_prefix(tenant, route).value)
    assert mine.startswith(key_prefix(tenant))
    if tenant != other:
        assert not mine.startswith(key_prefix(other))
        assert mine != of(other, other_route)
    if route != other_route:
        assert not mine.startswith(key_prefix(tenant, other_route))
    assert len(scope_of(mine)) == 3
    assert all(part.strip(".") and len(part) < 256 for part in mine.split("/"))
    assert mine.isascii()

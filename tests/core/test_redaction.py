"""Secrets are masked wherever they hide, and prose is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.core.redaction import MASK, Redactor, looks_secret
from mosaic.core.values import JsonValue

SHAPED = [
    "sk-ant-" + "a1B2" * 8,
    "sk-" + "a1B2" * 8,
    "ghp_" + "a1B2" * 6,
    "github_pat_" + "a1B2" * 6,
    "glpat-" + "a1B2" * 5,
    "xoxb-" + "1234567890ab",
    "AKIA" + "A1B2" * 4,
    "AIza" + "a1B2" * 8,
    "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeKKF2QT4",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nMIIE cut off",
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize("secret", SHAPED)
def test_a_credential_is_known_by_its_shape(secret: str) -> None:
    assert looks_secret(f"key={secret}")
    assert Redactor().text(f"key={secret}") == f"key={MASK}"
    assert Redactor().text(f'a "{secret}"') in (f'a "{MASK}"', f'a "{MASK}')


@pytest.mark.parametrize(
    "prose",
    [
        "skip-the-tests",
        "a sk-etch",
        "ghost",
        "risk-averse people",
        "branch mosaic/task-fix-the-failing-login-test",
        "eyJ",
        "AKIA",
        "0" * 300,
    ],
)
def test_prose_is_left_alone(prose: str) -> None:
    assert not looks_secret(prose)
    assert Redactor(["a known secret"]).text(prose) == prose


def test_a_known_value_is_masked_in_values_keys_and_tuples() -> None:
    redactor = Redactor(["hunter2hunter2"])
    value = {
        "a": ["x hunter2hunter2 y"],
        "t": ("hunter2hunter2",),
        "hunter2hunter2": {"n": 1},
        "deep": [[{"k": "hunter2hunter2"}]],
    }
    assert "hunter2" not in str(redactor.value(value))
    assert redactor.value({"t": ("hunter2hunter2", 1)}) == {"t": [MASK, 1]}


def test_of_two_known_values_the_longer_is_masked_whole() -> None:
    redactor = Redactor(["token-abc", "token-abc-and-more"])
    assert redactor.text("token-abc-and-more") == MASK


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "API-KEY",
        "apikey",
        "client_secret",
        "password",
        "passwd",
        "access_token",
        "privateKey",
        "Credential",
    ],
)
def test_a_field_with_a_secret_name_is_masked_whatever_it_holds(name: str) -> None:
    assert Redactor().value({name: "x"}) == {name: MASK}


def test_only_text_is_masked_by_name() -> None:
    assert Redactor().value({"secret": "", "secrets": [1, "kept"], "password": None, "author": "Ada"}) == {
        "secret": "",
        "secrets": [1, "kept"],
        "password": None,
        "author": "Ada",
    }


def test_short_values_are_not_secrets() -> None:
    assert Redactor(["the", ""]).text("the cat") == "the cat"


@given(json_values, st.text(min_size=8, alphabet="abcdefgh0123"))
def test_a_known_value_never_survives_and_the_rest_keeps_its_form(value: JsonValue, secret: str) -> None:
    redactor = Redactor([secret])
    shown = redactor.value({"plain": value, "hidden": [f"<{secret}>"]})
    assert isinstance(shown, dict)
    assert shown["hidden"] == [f"<{MASK}>"]
    if secret not in str(value):
        assert type(shown["plain"]) is type(value)

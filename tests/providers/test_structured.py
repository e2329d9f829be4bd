"""Output schemas are widened for a vendor, never changed in meaning."""

import pytest
from jsonschema import Draft202012Validator

from mosaic.providers.structured import closed_schema, is_strict

PLAN = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "minLength": 3, "pattern": "^[A-Z]"},
        "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}, "minItems": 1},
        "kind": {"oneOf": [{"const": "a"}, {"const": "b"}]},
    },
    "required": ["title", "steps"],
    "$defs": {"step": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}},
}


def test_limits_on_values_are_left_out_and_objects_closed():
    closed = closed_schema(PLAN)
    assert closed["additionalProperties"] is False
    assert closed["properties"]["title"] == {"type": "string"}
    assert closed["properties"]["steps"] == {"type": "array", "items": {"$ref": "#/$defs/step"}}
    assert closed["properties"]["kind"] == {"anyOf": [{"const": "a"}, {"const": "b"}]}
    assert closed["$defs"]["step"]["additionalProperties"] is False
    assert closed["required"] == ["title", "steps"]


def test_a_property_may_be_called_like_a_keyword():
    schema = {"type": "object", "properties": {"pattern": {"type": "string"}, "default": {"type": "string"}}}
    assert set(closed_schema(schema)["properties"]) == {"pattern", "default"}


def test_what_fits_the_closed_schema_is_an_object_of_the_given_one_but_for_its_limits():
    answer = {"title": "Xyz", "steps": [{"n": 1}], "kind": "a"}
    Draft202012Validator(PLAN).validate(answer)
    Draft202012Validator(closed_schema(PLAN)).validate(answer)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "object", "properties": {"a": {"not": {"type": "string"}}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/t"}},
            "$defs": {"t": {"type": "object", "properties": {"t": {"$ref": "#/$defs/t"}}}},
        },
    ],
)
def test_what_cannot_be_closed_without_changing_its_meaning_is_not(schema):
    assert closed_schema(schema) is None


def test_strict_mode_is_for_closed_objects_whose_properties_are_all_required():
    strict = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert is_strict(strict)
    assert not is_strict({**strict, "required": []})
    assert not is_strict({**strict, "additionalProperties": True})
    assert not is_strict({**strict, "properties": {"a": {"type": "object"}}})
    assert not is_strict({"type": "array", "items": strict})

"""Values are checked against schemas without fetching, hanging or drowning."""

import math
from typing import Any

import pytest

from mosaic.core.errors import ContractViolation, InvalidDefinition
from mosaic.tools.validation import check_schema, problems_of, safe_schema, strict_json

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["path"],
    "additionalProperties": False,
    "properties": {"path": {"type": "string"}, "lines": {"type": "array", "items": {"type": "integer"}}},
}


def test_every_error_is_listed_with_its_place_and_the_nearest_name() -> None:
    problems = problems_of({"pth": 1, "lines": [1, "two", 3.5]}, SCHEMA)
    assert [str(problem) for problem in problems] == [
        "unknown name 'pth' (did you mean path?)",
        "'path' is a required property",
        "lines[1]: 'two' is not of type 'integer'",
        "lines[2]: 3.5 is not of type 'integer'",
    ]


def test_a_thousand_errors_become_twenty() -> None:
    assert len(problems_of({"path": "x", "lines": ["x"] * 1_000}, SCHEMA)) == 20


def test_a_reference_to_elsewhere_is_not_fetched() -> None:
    with pytest.raises(ContractViolation, match="cannot be used"):
        problems_of({}, {"$ref": "http://127.0.0.1:9/schema.json"})


def test_a_schema_that_refers_to_itself_ends() -> None:
    assert problems_of({}, {"$ref": "#"})[0].message == "the value is nested too deeply"


def test_a_strangers_schema_keeps_no_regular_expression_but_all_names() -> None:
    schema = {
        "type": "object",
        "properties": {
            "pattern": {"type": "string", "pattern": "(a+)+$"},
            "format": {"const": {"pattern": "kept"}},
        },
        "patternProperties": {"(a+)+$": {}},
        "$defs": {"pattern": {"items": {"pattern": "(a+)+$"}}},
    }
    assert safe_schema(schema) == {
        "type": "object",
        "properties": {"pattern": {"type": "string"}, "format": {"const": {"pattern": "kept"}}},
        "$defs": {"pattern": {"items": {}}},
    }
    assert problems_of({"pattern": "a" * 40 + "!"}, safe_schema(schema)) == []


def test_what_is_no_schema_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match="a schema that is none"):
        check_schema({"type": "sandwich"}, what="x")


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "the number nan"),
        ({"a": [math.inf]}, "the number inf"),
        (object(), "no JSON"),
        ({1, 2}, "no JSON"),
        (b"bytes", "no JSON"),
        ("x" * 2_000, "2002 bytes"),
        (deep(5_000), "levels deep"),
    ],
)
def test_what_is_no_json_is_named(value: object, message: str) -> None:
    with pytest.raises(ContractViolation, match=message):
        strict_json(value, what="The tool", limit_bytes=1_000)


def test_half_characters_do_not_reach_the_database() -> None:
    assert strict_json({"a": "x\ud800y"}, what="x", limit_bytes=1_000)[0] == {"a": "x?y"}

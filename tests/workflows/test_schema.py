"""The published schema, the schemas inside definitions, and the inputs that are bound with them."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from mosaic.agents.spec import AGENT_KEYS
from mosaic.core.errors import InvalidInput
from mosaic.workflows import bind_inputs, check, language, load, workflow_schema
from mosaic.workflows.language.agent_entries import AGENT_DOCS

HEAD = "mosaic: v1\nkind: Workflow\nmetadata: {name: x}\n"
DO = "do:\n  - a: {set: 1}\n"
PUBLISHED = Path(language.__file__).parents[1] / "workflow.schema.json"


def inputs_of(folder: Path, text: str, **files: str) -> Any:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content)
    (folder / "workflow.yaml").write_text(HEAD + text + DO)
    return load(folder).inputs_schema


def problems(folder: Path, text: str, **files: str) -> list[str]:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content)
    (folder / "workflow.yaml").write_text(HEAD + text + DO)
    return [str(problem).removeprefix(f"{folder}/") for problem in check(folder)]


def test_the_published_schema_is_the_generated_one() -> None:
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert published == workflow_schema(), "run: python -m mosaic.workflows.language"


def test_the_published_schema_is_a_schema_that_needs_no_other_file() -> None:
    schema = workflow_schema()
    Draft7Validator.check_schema(schema)
    outside = [ref for ref in references(schema) if not ref.startswith("#/definitions/")]
    assert set(outside) == {"http://json-schema.org/draft-07/schema#"}  # every editor has it built in
    for ref in references(schema):
        if ref.startswith("#/definitions/"):
            assert ref.removeprefix("#/definitions/") in schema["definitions"]


def references(node: Any) -> list[str]:
    found: list[str] = []
    for key, value in node.items() if isinstance(node, dict) else ():
        found += [value] if key == "$ref" and isinstance(value, str) else references(value)
    for item in node if isinstance(node, list) else ():
        found += references(item)
    return found


def test_every_key_of_the_published_schema_is_described() -> None:
    missing: list[str] = []

    def walk(node: Any, path: str) -> None:
        if isinstance(node, list):
            for index, item in enumerate(node):
                walk(item, f"{path}/{index}")
        if not isinstance(node, dict):
            return
        for name, key in (node.get("properties") or {}).items():
            if not key.get("description"):
                missing.append(f"{path}/{name}")
        for name, item in node.items():
            walk(item, f"{path}/{name}")

    walk(workflow_schema(), "")
    assert missing == []


def test_the_keys_of_an_agent_are_those_that_the_agents_room_reads() -> None:
    assert set(AGENT_DOCS) == set(AGENT_KEYS)


@pytest.mark.parametrize(
    "text",
    [
        "do: []", "do: [{a: {agnet: x}}]", "do: [{a: {agent: x, run: y}}]", "do: [{a: {wait: 3s, retry: 2}}]",
        "do: [{a: {set: 1}, b: {set: 2}}]", "do: [{a: {set: 1}}]\nlimits: {usd: five}", "do: [{a: {set: 1}}]\nagent: {}",
        "do: [{a: {agent: x, timeout: 30}}]", "do: [{a: {agent: x, timeout: 2 hours}}]",
        "do: [{a: {set: 1}}]\ncatch: [{then: continue}]", "do: [{a: {fork: {}}}]", "do: [{a: {for: {in: []}, do: [{b: {set: 1}}]}}]",
        "do: [{a: {vote: {agents: [a, b], rule: most}}}]", "do: [{a: {ask: {on_timeout: maybe}}}]",
        "do: [{a: {set: 1}}]\nagents: {a: {modle: x}}", "do: [{a: {set: 1}}]\ntools: {a: {risk: high}}",
    ],
)  # fmt: skip
def test_what_the_editor_refuses_the_loader_refuses_too(text: str, tmp_path: Path) -> None:
    from ruamel.yaml import YAML

    value = YAML(typ="safe", pure=True).load(HEAD + text)
    assert not Draft7Validator(workflow_schema()).is_valid(value)
    (tmp_path / "workflow.yaml").write_text(HEAD + text)
    assert check(tmp_path)


def test_files_are_folded_into_one_schema(tmp_path: Path) -> None:
    schema = inputs_of(
        tmp_path,
        "inputs:\n  type: object\n  properties:\n    plan: {$ref: plan.json}\n    task: {$ref: 'plan.json#/$defs/task'}\n"
        "    own: {$ref: '#/$defs/own'}\n  $defs: {own: {type: string}}\n",
        plan='{"$id": "https://example.org/plan", "type": "array", "items": {"$ref": "#/$defs/task"}, '
        '"$defs": {"task": {"type": "object", "properties": {"next": {"$ref": "#/$defs/task"}, "more": {"$ref": "other.json"}}}}}',
        other='{"type": "object", "properties": {"plan": {"$ref": "plan.json"}}}',
    )
    assert set(schema["$defs"]) == {"own", "plan.json", "other.json"}
    assert schema["properties"]["plan"] == {"$ref": "#/$defs/plan.json"}
    bound = bind_inputs(schema, {"plan": [{"next": {"more": {"plan": [{}]}}}], "task": {}, "own": "x"})
    assert bound["own"] == "x"
    for wrong in ({"plan": [1]}, {"plan": [{"next": {"more": {"plan": 1}}}]}, {"task": 1}, {"own": 1}):
        with pytest.raises(InvalidInput):
            bind_inputs(schema, wrong)


def test_a_whole_file_stands_for_itself_and_may_refer_to_itself(tmp_path: Path) -> None:
    schema = inputs_of(
        tmp_path,
        "inputs: {$ref: tree.json}\n",
        tree='{"type": "object", "properties": {"child": {"$ref": "tree.json"}, "same": {"$ref": "#"}}}',
    )
    assert schema["properties"] == {"child": {"$ref": "#"}, "same": {"$ref": "#"}}
    bind_inputs(schema, {"child": {"same": {"child": {}}}})
    with pytest.raises(InvalidInput):
        bind_inputs(schema, {"child": {"same": 3}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inputs: {$ref: a.json}\n", "inputs"),
        ("inputs: {properties: {x: {$ref: a.json}}}\n", "inputs"),
        ("inputs: {properties: {x: {allOf: [{$ref: '#/properties/x'}]}}}\n", "inputs"),
    ],
)
def test_references_that_never_end_are_refused(text: str, expected: str, tmp_path: Path) -> None:
    found = problems(tmp_path, text, a='{"$ref": "b.json"}', b='{"$ref": "a.json"}')
    assert len(found) == 1
    assert "leads back to itself" in found[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inputs: {type: objct}\n", "workflow.yaml:4:16: `objct` is not a type of JSON Schema. (did you mean `object`?)"),
        ("inputs: {type: [object, object]}\n",
         "workflow.yaml:4:16: `type` must be a type, or a list of different types. (known: array, boolean,"),
        ("inputs: {properties: [a]}\n", "workflow.yaml:4:22: `properties` is wrong: ['a'] is not of type 'object'."),
        ("inputs: {properties: {a: 1}}\n", "workflow.yaml:4:26: A schema is a mapping, not the number 1."),
        ("inputs: {items: {minItems: -1}}\n", "workflow.yaml:4:28: `minItems` is wrong: -1 is less than the minimum of 0."),
        ("inputs: {required: [a, a]}\n", "workflow.yaml:4:20: `required` is wrong: ['a', 'a'] has non-unique elements."),
        ("inputs: {$ref: none.json}\n", "workflow.yaml:4:16: There is no file `none.json`."),
        ("inputs: {properties: {a: {$ref: 'a.json#/x'}}}\n", "workflow.yaml:4:33: The `$ref` `a.json#/x` leads nowhere."),
        ("inputs: {properties: {a: {$ref: 'a.json#/$defs/b'}}}\n",
         "a.json:1:26: `strng` is not a type of JSON Schema. (did you mean `string`?)"),
        ("inputs: {properties: {a: {$ref: [1]}}}\n", "workflow.yaml:4:33: `$ref` must be text, not a list."),
        ("inputs: {$ref: list.json}\n", "workflow.yaml:4:16: `list.json` is not a JSON Schema: it holds a list."),
        ("inputs: {properties: {a: {$ref: broken.json}}}\n", "broken.json:1:2: This is not YAML"),
        ("inputs: {properties: {a: {$anchor: x}}}\n",
         "workflow.yaml:4:27: `$anchor` is not supported in a schema. (use a JSON pointer: `$ref: '#/$defs/name'`)"),
        ("inputs: [x]\n", "workflow.yaml:4:9: This must be a JSON Schema: a mapping, or the name of a file beside the workflow, not a list."),
    ],
)  # fmt: skip
def test_a_wrong_schema_is_told_at_its_place(text: str, expected: str, tmp_path: Path) -> None:
    found = problems(tmp_path, text, a='{"$defs": {"b": {"type": "strng"}}}', list="[1]", broken="{")
    assert any(line.startswith(expected) for line in found), found


INPUTS = {
    "type": "object",
    "required": ["goal"],
    "properties": {
        "goal": {"type": "string", "minLength": 2},
        "count": {"type": "integer", "default": 3, "minimum": 1},
        "when": {"type": "string", "format": "date-time"},
        "link": {"type": "string", "format": "uri"},
        "kind": {"enum": ["a", "b"]},
        "nested": {
            "type": "object",
            "properties": {"deep": {"$ref": "#/$defs/deep"}},
            "additionalProperties": False,
        },
    },
    "$defs": {"deep": {"type": "array", "default": [1]}},
}


def test_defaults_are_filled_in_and_the_inputs_given_are_not_changed() -> None:
    given = {"goal": "go", "nested": {}}
    assert bind_inputs(INPUTS, given) == {"goal": "go", "count": 3, "nested": {"deep": [1]}}
    assert given == {"goal": "go", "nested": {}}
    first = bind_inputs(INPUTS, given)
    first["nested"]["deep"].append(2)
    assert bind_inputs(INPUTS, given)["nested"] == {"deep": [1]}


def test_every_wrong_input_is_told_and_no_value_is_shown() -> None:
    with pytest.raises(InvalidInput) as raised:
        bind_inputs(
            INPUTS,
            {"gaol": 1, "count": "many-private", "when": "noon-private", "link": "x y", "kind": "private",
             "nested": {"dep": 1, "deep": 3}},
        )  # fmt: skip
    assert sorted(map(str, raised.value.problems)) == [
        "inputs.count: must be integer, not text",
        "inputs.gaol: there is no input `gaol` (did you mean `goal`?)",
        "inputs.goal: is missing",
        "inputs.kind: must be one of 'a', 'b'",
        "inputs.link: must be a uri",
        "inputs.nested.deep: must be array, not a number",
        "inputs.nested: there is no `dep` here (did you mean `deep`?)",
        "inputs.when: must be a date-time",
    ]
    assert "private" not in json.dumps(raised.value.to_json())


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"minimum": 2}, 1, "must be at least 2"),
        ({"maxLength": 2}, "abc", "must have at most 2 characters"),
        ({"pattern": "^a"}, "b", "must match the pattern ^a"),
        ({"uniqueItems": True}, [1, 1], "must not hold an item twice"),
        ({"type": ["string", "null"]}, 1, "must be string or null, not a number"),
        ({"not": {}}, 1, "does not meet `not` of its schema"),
        ({"format": "time"}, "25:00:00Z", "must be a time"),
        ({"format": "email"}, "x", "must be a email"),
        ({"multipleOf": 2}, 3, "must be a multiple of 2"),
        ({"const": 1}, 2, "must be 1"),
    ],
)
def test_the_message_says_what_is_expected(schema: dict[str, Any], value: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        bind_inputs({"properties": {"x": schema}}, {"x": value})
    assert [problem.message for problem in raised.value.problems] == [message]


def test_a_workflow_without_inputs_takes_none(tmp_path: Path) -> None:
    (tmp_path / "workflow.yaml").write_text(HEAD + DO)
    found = load(tmp_path)
    assert found.bind_inputs({}) == {}
    with pytest.raises(InvalidInput):
        found.bind_inputs({"goal": "x"})


def test_an_open_schema_takes_inputs_that_it_does_not_name() -> None:
    assert bind_inputs({"properties": {}, "additionalProperties": True}, {"x": 1}) == {"x": 1}
    assert bind_inputs({"anyOf": [{"required": ["x"]}]}, {"x": 1}) == {"x": 1}


def test_a_value_nested_without_end_is_refused() -> None:
    value: Any = []
    for _ in range(3000):
        value = [value]
    schema = {"properties": {"x": {"$ref": "#/$defs/t"}}, "$defs": {"t": {"items": {"$ref": "#/$defs/t"}}}}
    with pytest.raises(InvalidInput, match="nested too deeply"):
        bind_inputs(schema, {"x": value})

"""What counts as an answer, and what the model hears when it does not."""

import pytest

from mosaic.agents.answers import ANSWER_TOOL, AnswerContract

SCHEMA = {
    "type": "object",
    "required": ["score"],
    "properties": {"score": {"type": "number", "maximum": 1}, "why": {"$ref": "#/$defs/text"}},
    "$defs": {"text": {"type": "string"}},
}


def test_text_is_an_answer_where_no_schema_asks_for_more() -> None:
    contract = AnswerContract(None, native=True)
    assert contract.check_text("hello").value == "hello"
    assert contract.rule == ""


@pytest.mark.parametrize(
    "text", ['{"score": 0.5}', '```json\n{"score": 0.5}\n```', 'Here:\n```\n{"score": 0.5}\n```\n']
)
def test_a_json_document_that_fits_is_an_answer(text: str) -> None:
    checked = AnswerContract(SCHEMA, native=True).check_text(text)
    assert checked.problem is None
    assert checked.value == {"score": 0.5}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"score": 0.5', "not JSON"),
        ("I think 0.5", "not JSON"),
        ('{"score": NaN}', "NaN is not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"score": 2}', "score: 2 is greater than the maximum of 1"),
        ('{"score": 1, "why": 3}', "why: 3 is not of type 'string'"),
        ("{}", "'score' is a required property"),
    ],
)
def test_anything_else_says_what_is_wrong(text: str, said: str) -> None:
    checked = AnswerContract(SCHEMA, native=True).check_text(text)
    assert checked.problem is not None
    assert said in checked.problem
    assert len(checked.problem) < 5000


def test_where_the_provider_cannot_hold_a_schema_a_tool_takes_the_answer() -> None:
    contract = AnswerContract(SCHEMA, native=False)
    assert ANSWER_TOOL in contract.rule
    assert contract.tool_parameters == SCHEMA
    assert contract.check_text('{"score": 1}').problem is not None
    assert contract.check_arguments({"score": 1}).value == {"score": 1}
    assert contract.check_arguments({"score": "x"}).problem is not None


def test_a_schema_that_is_no_object_is_wrapped_for_the_tool_and_its_references_follow() -> None:
    schema = {"type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "integer"}}}
    contract = AnswerContract(schema, native=False)
    parameters = contract.tool_parameters
    assert parameters["properties"]["answer"]["items"]["$ref"] == "#/properties/answer/$defs/n"
    assert contract.check_arguments({"answer": [1, 2]}).value == [1, 2]
    assert contract.check_arguments({"answer": ["x"]}).problem is not None
    assert contract.check_arguments({}).problem == "The argument 'answer' is missing."


def test_a_long_list_of_problems_is_cut() -> None:
    contract = AnswerContract({"type": "array", "items": {"type": "integer"}}, native=True)
    problem = contract.check_text(str(["x"] * 50).replace("'", '"')).problem
    assert problem is not None
    assert problem.count("\n") == 11
    assert problem.endswith("- and more")

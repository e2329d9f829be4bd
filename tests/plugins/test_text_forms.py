"""XML answers and artifacts: asked of any model in words, and read from what it wrote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.core.errors import ContractViolation, InvalidInput
from mosaic.providers import Message, ModelRequest
from mosaic.providers.artifacts import Artifact, generate_artifacts, read_artifacts, with_artifacts
from mosaic.providers.xml_answers import complete_xml, read_xml, with_xml
from tests.plugins.vendors import MODEL_OF, Said, make_provider, reply

pytestmark = pytest.mark.anyio

ASK = ModelRequest(MODEL_OF["anthropic"], (Message.of("user", "review"),), timeout_s=10)


async def asked(endpoint, said, call):
    endpoint.will(reply("anthropic", Said(said)))
    provider = make_provider("anthropic", endpoint.url)
    try:
        return await call(provider)
    finally:
        await provider.close()


@pytest.mark.requirement("ORC-204", "ORC-202")
async def test_an_answer_in_xml_is_asked_for_and_read(endpoint):
    said = "Here:\n<answer><verdict>ok</verdict><note>a &lt; b</note><note>two</note></answer>\nBye."
    answer = await asked(
        endpoint,
        said,
        lambda provider: complete_xml(provider, ASK, ["verdict", "note"], idempotency_key="k"),
    )
    assert answer.value == {"verdict": "ok", "note": ["a < b", "two"]}
    assert answer.response.usage.output_tokens == 7
    assert "<verdict>...</verdict>" in endpoint.last.json["system"]


@pytest.mark.requirement("ORC-204")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<answer>plain</answer>", "plain"),
        ("<answer><a><b>1</b></a></answer>", {"a": {"b": "1"}}),
        ("<answer><code>if a < b && c: pass</code></answer>", {"code": "if a < b && c: pass"}),
        ("<answer>x < y</answer>", "x < y"),
        ("<answer><a>1</a></answer> no, <answer><a>2</a></answer>", {"a": "2"}),
        ('<answer kind="x"><a>1</a></answer>', {"a": "1"}),
        ("<answer><a>1<a>2</answer>", "<a>1<a>2"),
        (
            '<answer><!DOCTYPE x [<!ENTITY e "boom">]><a>&e;</a></answer>',
            {"a": "&e;"},
        ),
    ],
)
def test_what_models_write_as_xml_is_read_forgivingly(text, value):
    assert read_xml(text) == value


@pytest.mark.parametrize("text", ["", "no xml", "<answer>cut off", "</answer><answer>"])
def test_an_answer_without_the_element_breaks_the_contract(text):
    with pytest.raises(ContractViolation):
        read_xml(text)


async def test_an_answer_without_the_element_says_what_it_cost(endpoint):
    with pytest.raises(ContractViolation) as caught:
        await asked(endpoint, "no", lambda provider: complete_xml(provider, ASK, ["a"], idempotency_key="k"))
    assert caught.value.data["usage"]["output_tokens"] == 7


@given(st.text(alphabet="<>/ab &;!x", max_size=200))
def test_no_text_breaks_the_reader(text):
    try:
        read_xml(f"<answer>{text}</answer>")
    except ContractViolation:
        assert "<answer>" in text or "</answer>" in text


def test_what_cannot_be_asked_for_in_xml_is_refused():
    with pytest.raises(InvalidInput):
        with_xml(ASK, ["not a name"])
    with pytest.raises(InvalidInput):
        with_xml(ModelRequest("m", (), output_schema={"type": "object"}), ["a"])


@pytest.mark.requirement("ORC-205", "ORC-202")
async def test_an_artifact_is_asked_for_and_read(endpoint):
    said = (
        "A parser:\n"
        '<artifact id="p" type="code" language="python" title="A parser">\n'
        'print("<b>" if a < b else None)\n'
        "</artifact>\nThat is all."
    )
    answer = await asked(
        endpoint, said, lambda provider: generate_artifacts(provider, ASK, "code", idempotency_key="k")
    )
    content = 'print("<b>" if a < b else None)'
    assert answer.artifacts == (Artifact("p", "code", content, "A parser", "python"),)
    assert answer.text == "A parser:\nThat is all."
    assert 'type="code"' in endpoint.last.json["system"]


@pytest.mark.requirement("ORC-205")
async def test_an_answer_without_an_artifact_says_what_it_cost(endpoint):
    with pytest.raises(ContractViolation) as caught:
        await asked(
            endpoint, "no", lambda provider: generate_artifacts(provider, ASK, "svg", idempotency_key="k")
        )
    assert caught.value.data["usage"]["output_tokens"] == 7


def test_artifacts_are_read_in_order_and_a_cut_one_stays_text():
    text = "a <artifact type='svg'><svg/></artifact> b <artifact>\nx\n</artifact> c <artifact type='code'>cut"
    outside, artifacts = read_artifacts(text)
    assert [(one.id, one.type, one.content) for one in artifacts] == [
        ("artifact-1", "svg", "<svg/>"),
        ("artifact-2", "document", "x"),
    ]
    assert outside == "a\nb\nc <artifact type='code'>cut"


def test_an_artifact_of_no_known_type_is_not_asked_for():
    with pytest.raises(InvalidInput):
        with_artifacts(ASK, "hologram")  # type: ignore[arg-type]

"""The estimate of a request's tokens counts everything that is sent."""

from mosaic.providers import (
    BlobPart,
    Message,
    ModelRequest,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    ToolDefinition,
    estimate_text,
    estimate_tokens,
)

LONG = "word " * 700


def tokens(*parts, **fields):
    return estimate_tokens(ModelRequest("m", (Message("user", parts),), **fields))


def test_ordinary_prose_is_estimated_above_what_tokenizers_make_of_it():
    prose = "The quick brown fox jumps over the lazy dog. "  # 10 tokens with the tokenizers of GPT and Claude
    assert 10 <= estimate_text(prose) <= 20


def test_text_outside_ascii_counts_by_its_bytes():
    assert estimate_text("日本語") > estimate_text("abc")


def test_every_kind_of_content_counts():
    small = tokens(TextPart("x"))
    assert tokens(TextPart(LONG)) > small + 900
    assert tokens(ToolCallPart("c", "t", {"text": LONG})) > small + 900
    assert tokens(ToolCallResponsePart("c", "t", LONG)) > small + 900
    assert tokens(BlobPart("image", "image/png", "aGk=")) > small + 1000
    assert tokens(TextPart("x"), tools=(ToolDefinition("t", LONG, {}),)) > small + 900
    assert tokens(TextPart("x"), output_schema={"description": LONG}) > small + 900

"""The vendors' own descriptions as judges of what we write; tests skip, visibly, where they are not at hand."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parents[4] / "shared" / "contracts"
OPENAI = "openai.trimmed.openapi.json"
ANTHROPIC = "anthropic-sdk-2.11.0.jsonschema.json"


def check(file: str, name: str, body: Any) -> None:
    """Fail unless `body` is what `file` describes as `name`."""
    errors = sorted(_validator(file, name).iter_errors(body), key=lambda error: error.json_path)
    assert not errors, f"not {name}: " + "; ".join(f"{e.json_path}: {e.message[:300]}" for e in errors)


def events(stream: bytes) -> list[dict[str, Any]]:
    """The objects of a stream's events; each must stand alone in its event, named as its type when it is named."""
    found = []
    for block in stream.decode().split("\n\n"):
        if not block or block == "data: [DONE]":
            continue
        *names, data = block.split("\n")
        shown = json.loads(data.removeprefix("data: "))
        assert names in ([], [f"event: {shown.get('type')}"])
        found.append(shown)
    return found


@cache
def _validator(file: str, name: str) -> Draft202012Validator:
    path = FOLDER / file
    if not path.is_file():
        pytest.skip(f"{file} is not at hand (it is kept beside the repository)")
    document = _plain(json.loads(path.read_text()))
    where, root = ("$defs", "$defs") if "$defs" in document else ("components/schemas", "components")
    return Draft202012Validator({"$ref": f"#/{where}/{name}", root: document[root]})


def _plain(schema: Any) -> Any:
    """OpenAPI's `nullable` as JSON Schema says it; its `oneOf` overlap, so that one or more may fit."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {"anyOf" if key == "oneOf" else key: _plain(value) for key, value in schema.items()}
    if plain.pop("nullable", None) is True:
        return {"anyOf": [plain, {"type": "null"}]}
    return plain

"""Writes src/api/schema.ts from the server's own OpenAPI document, so that screens cannot drift from the API.

.venv/bin/python web/generate_types.py [--check]
"""

import asyncio
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx2

from mosaic.api.asgi import create_asgi
from mosaic.app.build import build
from mosaic.app.home import make_home
from mosaic.app.settings import load_settings

TARGET = Path(__file__).parent / "src" / "api" / "schema.ts"
_HEAD = "// Written by web/generate_types.py from the server's OpenAPI document; do not edit.\n\n"
_SIMPLE = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def type_of(schema: dict[str, Any]) -> str:
    """Return the TypeScript type of a JSON schema."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(type_of(item) for item in schema[key]))
    if "enum" in schema or "const" in schema:
        return " | ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(type_of({**schema, "type": item}) for item in kind)
    if kind == "array":
        inner = type_of(schema.get("items", {}))
        return f"({inner})[]" if "|" in inner else f"{inner}[]"
    if kind == "object" or "properties" in schema:
        return object_of(schema)
    return _SIMPLE.get(str(kind), "unknown")


def object_of(schema: dict[str, Any]) -> str:
    """Return the TypeScript type of an object's schema."""
    properties = schema.get("properties")
    if not properties:
        extra = schema.get("additionalProperties", True)
        return f"Record<string, {type_of(extra) if isinstance(extra, dict) and extra else 'unknown'}>"
    required = set(schema.get("required", ()))
    lines = []
    for name, value in properties.items():
        key = name if re.fullmatch(r"[A-Za-z_$][\w$]*", name) else json.dumps(name)
        if text := value.get("description"):
            lines.append(f"  /** {text} */".replace("*/ */", "*/"))
        lines.append(f"  {key}{'' if name in required else '?'}: {type_of(value)};")
    return "{\n" + "\n".join(lines) + "\n}"


def render(document: dict[str, Any]) -> str:
    """Return the module for an OpenAPI document."""
    parts = []
    for name, schema in sorted(document["components"]["schemas"].items()):
        text = " ".join(str(schema.get("description", "")).split())
        note = f"/** {text} */\n" if text else ""
        shape = type_of(schema)
        head = (
            f"export interface {name} {shape}" if shape.startswith("{") else f"export type {name} = {shape};"
        )
        parts.append(note + head)
    operations = sorted(
        f"  | {json.dumps(f'{method.upper()} {path}')}"
        for path, item in document["paths"].items()
        for method in item
        if path.startswith("/api/")
    )
    parts.append(
        "/** Every route that the server has. */\nexport type Route =\n" + "\n".join(operations) + ";"
    )
    return _HEAD + "\n\n".join(parts) + "\n"


async def document() -> dict[str, Any]:
    """Return the document of an installation that nobody uses."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        make_home(home)
        application = build(load_settings(home, environ={}))
        transport = httpx2.ASGITransport(app=create_asgi(application, owner_token="unused"))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            shown: dict[str, Any] = (await http.get("/api/v1/openapi.json")).json()
        await application.close()
        return shown


def main(arguments: list[str]) -> int:
    """Write or check; return the exit status."""
    wanted = render(asyncio.run(document()))
    if arguments != ["--check"]:
        TARGET.write_text(wanted)
        return 0
    if TARGET.exists() and TARGET.read_text() == wanted:
        return 0
    sys.stderr.write(
        "web/src/api/schema.ts does not fit the API: run .venv/bin/python web/generate_types.py\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

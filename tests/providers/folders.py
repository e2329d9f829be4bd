"""Plugin folders, written as a test needs them."""

import json
from pathlib import Path
from typing import Any

PROVIDER = '''
from mosaic.core.errors import InvalidInput
from mosaic.providers import Message, ModelCapabilities, ModelResponse, ProviderHealth, Usage

MARK = "@MARK@"


class Plain:
    """A source of answers that needs no vendor: it says which code it is."""

    name = "plain"

    def __init__(self, config, requires=None):
        if config.get("fails"):
            raise InvalidInput("This configuration makes no provider.")
        self.config, self.requires, self.mark, self.closed = config, requires, MARK, 0

    async def complete(self, request, *, idempotency_key):
        return ModelResponse(Message.of("assistant", MARK), "stop", Usage(1, 1), request.model, self.name)

    async def stream(self, request, *, idempotency_key):
        yield await self.complete(request, idempotency_key=idempotency_key)

    async def models(self):
        return []

    async def check(self, model=None, *, thorough=False):
        return ProviderHealth(self.name, "ready", MARK)

    async def default_model(self):
        return "m"

    def capabilities(self, model):
        return ModelCapabilities(tools=False)

    async def close(self):
        self.closed += 1


def create(config, requires=None):
    return Plain(config, requires)
'''
FIELDS = {"region": "string", "fails": "boolean", "api_key": "string", "base_url": "string"}


def write_plugin(
    directory: Path, id_: str, *, mark: str = "one", folder: str = "", code: str = PROVIDER, **manifest: Any
) -> Path:
    """Write a plugin folder; `mark` is what its code says, `manifest` wins over a plain one."""
    where = directory / (folder or id_)
    where.mkdir(parents=True, exist_ok=True)
    shown = {
        "api": 1,
        "id": id_,
        "kinds": ["ai"],
        "name": id_,
        "version": "1.0",
        "description": "A plugin for tests.",
        "configuration": {
            "type": "object",
            "properties": {name: {"type": type_} for name, type_ in FIELDS.items()},
            "additionalProperties": False,
        },
        "environment": {"api_key": f"{id_.upper()}_API_KEY", "base_url": f"{id_.upper()}_BASE_URL"},
        "secrets": ["api_key"],
        **manifest,
    }
    # JSON is YAML too.
    text = json.dumps({name: value for name, value in shown.items() if value is not None}, indent=1)
    (where / "plugin.yaml").write_text(text)
    (where / "provider.py").write_text(code.replace("@MARK@", mark))
    return where

"""Models on Ollama's machine: downloading, making, removing, describing."""

from collections.abc import AsyncIterator

from mosaic.core.errors import InvalidInput, MosaicError, NotFound, Unavailable, Unsupported
from mosaic.core.values import JsonObject
from mosaic.providers.adapter import HttpAdapter, reading
from mosaic.providers.faults import error_for
from mosaic.providers.model_store import LocalModel, ModelRecipe, StoreProgress

__all__ = ["OllamaStore", "local_model_from"]

_TIMEOUT_S = 30.0
_LONGEST_S = 24 * 3600.0
_LONGEST_SILENCE_S = 600.0
_IMPORTED = ("gguf", "safetensors")


class OllamaStore(HttpAdapter):
    """The models that Ollama has, and can get."""

    async def pull(self, model: str) -> AsyncIterator[StoreProgress]:
        """Download `model`, yielding how far it has come."""
        async for progress in self._watch("/api/pull", {"model": model, "stream": True}, model):
            yield progress

    async def create_model(self, recipe: ModelRecipe) -> AsyncIterator[StoreProgress]:
        """Make a model, yielding how far it has come.

        Raises:
            InvalidInput: if the recipe has neither a base nor files, or both.
            Unsupported: for weights that Ollama does not import.
            MosaicError: as the provider interface describes.
        """
        body = _recipe(recipe)
        async for progress in self._watch("/api/create", body, recipe.base or recipe.name):
            yield progress

    async def delete_model(self, model: str) -> None:
        """Remove a model."""
        await self._http.delete("/api/delete", body={"model": model}, timeout_s=_TIMEOUT_S)

    async def local_model(self, model: str) -> LocalModel:
        """Return what Ollama says about a model that it has."""
        body = await self._http.post("/api/show", {"model": model}, timeout_s=_TIMEOUT_S)
        with reading(self.name):
            return local_model_from(model, body)

    async def _watch(self, path: str, body: JsonObject, model: str) -> AsyncIterator[StoreProgress]:
        done = False
        async with self._http.send(
            "POST", path, body=body, timeout_s=_LONGEST_S, idle_s=_LONGEST_SILENCE_S
        ) as answer:
            async for line in answer.lines():
                if not line.strip():
                    continue
                shown = self._http.read_json(line)
                if shown.get("error"):
                    raise self._store_error(shown, model)
                with reading(self.name):
                    progress = StoreProgress(
                        status=shown["status"],
                        digest=shown.get("digest"),
                        completed_bytes=shown.get("completed"),
                        total_bytes=shown.get("total"),
                    )
                done = done or progress.status == "success"
                yield progress
        if not done:
            raise Unavailable(f"{self.name} broke off before it was done.", provider=self.name, sent=True)

    def _store_error(self, shown: JsonObject, model: str) -> MosaicError:
        fault = self._http.fault(shown)
        # The registry's words for a model that nobody offers; they come inside a stream that began with success.
        if "file does not exist" in fault.message or "not found" in fault.message:
            hint = "Look the name up in the model library."
            return NotFound(f"Nobody offers the model {model!r}.", hint=hint, provider=self.name)
        return error_for(fault, provider=self.name)


def _recipe(recipe: ModelRecipe) -> JsonObject:
    if bool(recipe.base) == bool(recipe.files):
        raise InvalidInput("A new model is made from a base or from files; give one of the two.")
    if recipe.files and recipe.format not in _IMPORTED:
        raise Unsupported(
            f"Ollama does not import {recipe.format} weights.",
            hint=f"Convert them to one of {', '.join(_IMPORTED)}.",
        )
    body: JsonObject = {
        "model": recipe.name,
        "from": recipe.base,
        "files": dict(recipe.files) or None,
        "system": recipe.system,
        "template": recipe.template,
        "parameters": dict(recipe.parameters) or None,
        "license": recipe.license,
        "quantize": recipe.quantize,
        "stream": True,
    }
    return {name: value for name, value in body.items() if value is not None}


def local_model_from(name: str, body: JsonObject) -> LocalModel:
    """Return the model that an answer of /api/show, or an entry of /api/tags, describes."""
    details = body.get("details") or {}
    facts = body.get("model_info") or {}
    context = facts.get(f"{facts.get('general.architecture')}.context_length")
    return LocalModel(
        name=name,
        format=details.get("format") or None,
        family=details.get("family") or None,
        parameters=details.get("parameter_size") or None,
        quantization=details.get("quantization_level") or None,
        context_tokens=int(context) if context else None,
        capabilities=tuple(str(item) for item in body.get("capabilities") or ()),
    )

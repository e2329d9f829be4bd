"""The definitions runs have pinned: kept by content hash, found for ever, scoped by tenant."""

import asyncio
from dataclasses import replace
from pathlib import Path

from mosaic.agents import AgentSpec
from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import NotFound
from mosaic.core.values import content_hash
from mosaic.runs.repository import DefinitionRepository
from mosaic.storage import BlobStore, Database, Transaction
from mosaic.workflows import Bundle, Definition

__all__ = ["Definitions"]

_SCRIPTED = "scripted:"
_CACHED = 256
_LISTED = 2_000
_MOST_NEWEST = 200


class Definitions:
    """Stores bundles as blobs and loads them as definitions; a loaded one is remembered, it never changes."""

    def __init__(self, database: Database, blobs: BlobStore, scripts: Path, *, clock: Clock = now) -> None:
        self._database = database
        self._blobs = blobs
        self._scripts = scripts
        self._clock = clock
        self._rows = DefinitionRepository(database.dialect)
        self._loaded: dict[str, Definition] = {}

    async def store(self, definition: Definition) -> None:
        """Keep the bundle of a definition and of its children."""
        for part in _with_children(definition):
            await self._blobs.put(part.bundle.to_bytes())

    async def permit(self, tx: Transaction, ctx: Context, definition: Definition) -> None:
        """Let the tenant load a stored definition and its children."""
        # In one order for all, so that two who share children never wait for each other.
        for part in sorted(_with_children(definition), key=lambda part: part.content_hash):
            await self._rows.add(
                tx,
                ctx,
                content_hash=part.content_hash,
                name=part.name,
                version=part.version,
                at=self._clock(),
            )

    async def load(self, ctx: Context, content_hash: str) -> Definition:
        """Return a definition, ready to run: scripts inside the bundle are where the model provider finds them.

        Raises:
            NotFound: if the tenant has none with that hash.
            InvalidDefinition: if it was stored by a release that understood it differently.
        """
        async with self._database.transaction(read_only=True) as tx:
            if not await self._rows.has(tx, ctx, content_hash):
                raise NotFound(f"There is no workflow definition {content_hash}.")
        known = self._loaded.get(content_hash)
        if known is None:
            known = Definition.from_bundle(Bundle.from_bytes(await self._blobs.get(content_hash)))
            known = await asyncio.to_thread(self.ready, known)
            while len(self._loaded) >= _CACHED:
                self._loaded.pop(next(iter(self._loaded)))
            self._loaded[content_hash] = known
        return known

    async def newest(self, ctx: Context) -> list[Definition]:
        """Return the tenant's workflows, each as it was run last time in a new form; at most two hundred."""
        async with self._database.transaction(read_only=True) as tx:
            known = await self._rows.hashes(tx, ctx, limit=_LISTED)
        newest: dict[str, str] = {}
        for name, digest in known:
            newest.setdefault(name, digest)
        # What is loaded never changes, and the query has said that the tenant may load it.
        return [
            self._loaded.get(digest) or await self.load(ctx, digest)
            for digest in list(newest.values())[:_MOST_NEWEST]
        ]

    def ready(self, definition: Definition) -> Definition:
        """Return the definition with ``scripted:<file of the bundle>`` models naming files on this machine.

        The provider plays files; a bundle's are written out once, under the hash of their content.
        """
        agents = {
            name: replace(entry, spec=self._playable(entry.spec, definition.bundle))
            for name, entry in definition.agents.items()
        }
        return replace(definition, agents=agents)

    def _playable(self, spec: AgentSpec, bundle: Bundle) -> AgentSpec:
        def models(named: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(self._model(model, bundle) for model in named)

        by_task = {kind: models(named) for kind, named in spec.models_by_task.items()}
        return replace(spec, model=models(spec.model), models_by_task=by_task)

    def _model(self, model: str, bundle: Bundle) -> str:
        script = bundle.files.get(model.removeprefix(_SCRIPTED)) if model.startswith(_SCRIPTED) else None
        if script is None:
            return model
        name = Path(model.removeprefix(_SCRIPTED))
        folder = self._scripts / content_hash(script).removeprefix("sha256:")[:16]
        target = folder / name.name
        if not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / f"{name.name}.new"
            temporary.write_bytes(script)
            temporary.replace(target)
        return f"{_SCRIPTED}{target}"


def _with_children(definition: Definition) -> list[Definition]:
    found = [definition]
    for child in definition.children.values():
        found += _with_children(child)
    return found

"""What a run keeps: content in the blob store, one row and one event each."""

from mosaic.core.clock import Clock, now
from mosaic.core.ids import new_id
from mosaic.engine import EffectCall, Effects, Outcome, Safety
from mosaic.events import NewEvent
from mosaic.runs.repository import RunRepository
from mosaic.runs.schemas import Artifact
from mosaic.storage import BlobStore

__all__ = ["Artifacts"]


class Artifacts:
    """Keeps artifacts as effects of the run that made them."""

    def __init__(self, blobs: BlobStore, *, clock: Clock = now) -> None:
        self._blobs = blobs
        self._clock = clock
        self._rows = RunRepository()

    async def keep(self, effects: Effects, name: str, *, data: bytes, media_type: str) -> None:
        """Keep `data` as an artifact of the run, once, as the effect ``artifact:<name>`` of this path."""

        async def store(_call: EffectCall) -> Outcome:
            full = f"{effects.path}/{name}" if effects.path else name
            made = Artifact(
                id=new_id("art"),
                run_id=effects.run_id,
                name=full[:255],
                media_type=media_type,
                digest=await self._blobs.put(data),
                size_bytes=len(data),
                created_at=self._clock(),
            )
            shown = made.to_json()
            event = NewEvent("artifact.stored", shown, run_id=effects.run_id, path=effects.path)
            return Outcome(shown, events=(event,), writes=(self._rows.add_artifact(effects.ctx, made),))

        await effects.effect(f"artifact:{name}", store, safety=Safety.REPEATABLE)

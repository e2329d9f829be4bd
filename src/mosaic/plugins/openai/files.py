"""Files and fine-tuning jobs at OpenAI."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from mosaic.core.errors import ContractViolation
from mosaic.core.values import JsonObject
from mosaic.providers.adapter import HttpAdapter, reading
from mosaic.providers.fine_tuning import FineTune, FineTuneEvent, FineTuneRequest, FineTuneStatus
from mosaic.providers.http import Form
from mosaic.providers.stored_files import StoredFile

__all__ = ["OpenAiFiles", "OpenAiFineTuning"]

_TIMEOUT_S = 30.0
_UPLOAD_TIMEOUT_S = 600.0
_PER_PAGE = 100
_MOST_PAGES = 1_000
_STATUS: dict[str, FineTuneStatus] = {
    "validating_files": "validating",
    "queued": "queued",
    "running": "running",
    "paused": "paused",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}


class _Pages(HttpAdapter):
    """Listings that come in pages."""

    async def _all(self, path: str, query: dict[str, str] | None = None) -> AsyncIterator[JsonObject]:
        after: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            asked = urlencode({**(query or {}), "limit": str(_PER_PAGE), **after})
            body = await self._http.get(f"{path}?{asked}", timeout_s=_TIMEOUT_S)
            with reading(self.name):
                entries = list(body["data"])
            for entry in entries:
                yield entry
            if not entries or not body.get("has_more"):
                return
            after = {"after": str(entries[-1]["id"])}
        raise ContractViolation(
            f"{self.name} listed {_MOST_PAGES * _PER_PAGE:,} entries at {path} and says there are more.",
            provider=self.name,
        )


class OpenAiFiles(_Pages):
    """Files that OpenAI keeps."""

    async def upload_file(self, filename: str, content: bytes, *, purpose: str) -> StoredFile:
        """Store a file; purposes are `fine-tune`, `batch`, `user_data`, `vision`, `evals`, `assistants`."""
        form = Form({"purpose": purpose}, {"file": (filename, content, "application/octet-stream")})
        body = await self._http.post("/files", form, timeout_s=_UPLOAD_TIMEOUT_S)
        return self._file(body)

    async def stored_files(self, *, purpose: str | None = None) -> list[StoredFile]:
        """Return the files of this account, all pages, newest first."""
        query = {"purpose": purpose} if purpose else {}
        return [self._file(entry) async for entry in self._all("/files", query)]

    async def stored_file(self, file_id: str) -> StoredFile:
        """Return a file's description."""
        return self._file(await self._http.get(f"/files/{quote(file_id, safe='')}", timeout_s=_TIMEOUT_S))

    async def file_content(self, file_id: str) -> bytes:
        """Return what is in a file."""
        path = f"/files/{quote(file_id, safe='')}/content"
        async with self._http.send("GET", path, timeout_s=_UPLOAD_TIMEOUT_S) as answer:
            return await answer.read()

    async def delete_file(self, file_id: str) -> None:
        """Remove a file."""
        await self._http.delete(f"/files/{quote(file_id, safe='')}", timeout_s=_TIMEOUT_S)

    def _file(self, body: JsonObject) -> StoredFile:
        with reading(self.name):
            return StoredFile(
                id=body["id"],
                filename=body["filename"],
                size_bytes=int(body["bytes"]),
                provider=self.name,
                purpose=body.get("purpose") or "",
                created_at=_moment(body.get("created_at")),
                expires_at=_moment(body.get("expires_at")),
            )


class OpenAiFineTuning(_Pages):
    """Training jobs."""

    async def start_fine_tune(self, request: FineTuneRequest) -> FineTune:
        """Start a training."""
        body: JsonObject = {"model": request.model, "training_file": request.training_file}
        method: JsonObject = {"type": request.method}
        if request.hyperparameters:
            method[request.method] = {"hyperparameters": request.hyperparameters}
        body["method"] = method
        optional = {
            "validation_file": request.validation_file,
            "suffix": request.suffix,
            "seed": request.seed,
        }
        body |= {name: value for name, value in optional.items() if value is not None}
        return self._job(await self._http.post("/fine_tuning/jobs", body, timeout_s=_TIMEOUT_S))

    async def fine_tune(self, fine_tune_id: str) -> FineTune:
        """Return how a training stands."""
        return self._job(await self._http.get(_path(fine_tune_id), timeout_s=_TIMEOUT_S))

    async def fine_tunes(self) -> list[FineTune]:
        """Return the trainings of this account, newest first."""
        return [self._job(entry) async for entry in self._all("/fine_tuning/jobs")]

    async def fine_tune_events(self, fine_tune_id: str) -> list[FineTuneEvent]:
        """Return what a training reported, newest first."""
        events = []
        async for entry in self._all(f"{_path(fine_tune_id)}/events"):
            with reading(self.name):
                at = datetime.fromtimestamp(entry["created_at"], UTC)
                events.append(FineTuneEvent(entry["id"], entry["level"], entry["message"], at))
        return events

    async def cancel_fine_tune(self, fine_tune_id: str) -> FineTune:
        """Stop a training."""
        return self._job(await self._http.post(f"{_path(fine_tune_id)}/cancel", {}, timeout_s=_TIMEOUT_S))

    def _job(self, body: JsonObject) -> FineTune:
        with reading(self.name):
            return FineTune(
                id=body["id"],
                model=body["model"],
                status=_STATUS[body["status"]],
                provider=self.name,
                result_model=body.get("fine_tuned_model"),
                trained_tokens=body.get("trained_tokens"),
                error=(body.get("error") or {}).get("message") or None,
                created_at=_moment(body.get("created_at")),
                finished_at=_moment(body.get("finished_at")),
            )


def _path(fine_tune_id: str) -> str:
    return f"/fine_tuning/jobs/{quote(fine_tune_id, safe='')}"


def _moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None

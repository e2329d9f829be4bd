"""Files at Anthropic: documents and images to ask about without sending them each time."""

import mimetypes
from datetime import datetime
from urllib.parse import quote, urlencode

from mosaic.core.errors import ContractViolation
from mosaic.core.values import JsonObject
from mosaic.providers.adapter import HttpAdapter, reading
from mosaic.providers.http import Form
from mosaic.providers.stored_files import StoredFile

__all__ = ["AnthropicFiles"]

_TIMEOUT_S = 30.0
_UPLOAD_TIMEOUT_S = 600.0
_PER_PAGE = 1000
_MOST_PAGES = 1_000


class AnthropicFiles(HttpAdapter):
    """Files that Anthropic keeps. They have no purpose there; what is given as one is not sent."""

    async def upload_file(self, filename: str, content: bytes, *, purpose: str) -> StoredFile:  # noqa: ARG002 - the interface's
        """Store a file."""
        kind = mimetypes.guess_type(filename)[0] or "application/octet-stream"
        form = Form(files={"file": (filename, content, kind)})
        return self._file(await self._http.post("/v1/files", form, timeout_s=_UPLOAD_TIMEOUT_S))

    async def stored_files(self, *, purpose: str | None = None) -> list[StoredFile]:  # noqa: ARG002 - the interface's
        """Return the files of this account, all pages."""
        files: list[StoredFile] = []
        query = {"limit": str(_PER_PAGE)}
        for _ in range(_MOST_PAGES):
            body = await self._http.get(f"/v1/files?{urlencode(query)}", timeout_s=_TIMEOUT_S)
            with reading(self.name):
                files += [self._file(entry) for entry in body["data"]]
            if not body.get("next_page"):
                return files
            query["page"] = str(body["next_page"])
        raise ContractViolation(f"{self.name} listed files without end.", provider=self.name)

    async def stored_file(self, file_id: str) -> StoredFile:
        """Return a file's description."""
        return self._file(await self._http.get(f"/v1/files/{quote(file_id, safe='')}", timeout_s=_TIMEOUT_S))

    async def file_content(self, file_id: str) -> bytes:
        """Return what is in a file; only files that the vendor itself made can be read back."""
        path = f"/v1/files/{quote(file_id, safe='')}/content"
        async with self._http.send("GET", path, timeout_s=_UPLOAD_TIMEOUT_S) as answer:
            return await answer.read()

    async def delete_file(self, file_id: str) -> None:
        """Remove a file."""
        await self._http.delete(f"/v1/files/{quote(file_id, safe='')}", timeout_s=_TIMEOUT_S)

    def _file(self, body: JsonObject) -> StoredFile:
        with reading(self.name):
            expires_at = body.get("expires_at")
            return StoredFile(
                id=body["id"],
                filename=body["filename"],
                size_bytes=int(body["size_bytes"]),
                provider=self.name,
                created_at=datetime.fromisoformat(body["created_at"]),
                expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
            )

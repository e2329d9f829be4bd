"""Files that a provider keeps for us: training data, batches, documents to ask about."""

from dataclasses import dataclass
from datetime import datetime

from mosaic.core.values import JsonObject

__all__ = ["StoredFile", "file_id_of"]

_SCHEME = "file-id:"


def file_id_of(uri: str) -> str | None:
    """Return the id of the stored file that a `UriPart`'s address means, else None.

    A file that the provider keeps is named ``file-id:<its id>`` in a message.
    """
    return uri.removeprefix(_SCHEME) if uri.startswith(_SCHEME) else None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file at a provider.

    Attributes:
        id: the provider's own name for it.
        purpose: the provider's word for what it may be used for; empty where it has none.
    """

    id: str
    filename: str
    size_bytes: int
    provider: str
    purpose: str = ""
    created_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def uri(self) -> str:
        """How a message to this provider names the file."""
        return _SCHEME + self.id

    def to_json(self) -> JsonObject:
        """Return the file's description as a JSON object."""
        return {
            "id": self.id,
            "filename": self.filename,
            "size_bytes": self.size_bytes,
            "provider": self.provider,
            "purpose": self.purpose,
            "created_at": self.created_at.isoformat() if self.created_at else None,
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
        }

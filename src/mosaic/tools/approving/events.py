"""What the journal is told of approvals."""

from mosaic.core.values import JsonObject
from mosaic.events import NewEvent
from mosaic.tools.schemas import Approval, Vote

__all__ = ["requested", "voted"]


def requested(asked: Approval) -> NewEvent:
    """Return the event that a person is asked."""
    shown: JsonObject = {
        "approval": asked.id,
        "kind": asked.kind,
        "title": asked.title,
        "roles": list(asked.roles),
        "quorum": asked.quorum,
        "expires_at": asked.expires_at.isoformat() if asked.expires_at else None,
        "on_timeout": asked.on_timeout,
        "detail": asked.detail,
    }
    return NewEvent("approval.requested", shown)


def voted(held: Approval, vote: Vote) -> NewEvent:
    """Return the event that somebody has answered and more have to."""
    yes = sum(other.approve for other in held.votes)
    shown: JsonObject = {
        "approval": held.id,
        "by": vote.actor,
        "approve": vote.approve,
        "note": vote.note,
        "yes": yes,
        "no": len(held.votes) - yes,
        "quorum": held.quorum,
        "title": held.title,
    }
    return NewEvent("approval.voted", shown, run_id=held.run_id, path=held.path)

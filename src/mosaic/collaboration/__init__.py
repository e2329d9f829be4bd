"""Working together: comments on runs, items and approvals, and who looks at what."""

from mosaic.collaboration.interfaces import Presences, presence_topic
from mosaic.collaboration.presence import LocalPresences, SharedPresences, open_presences
from mosaic.collaboration.schemas import SUBJECTS, Comment, Subject, SubjectKind, Viewer
from mosaic.collaboration.service import LONGEST_BODY, Comments

__all__ = [
    "LONGEST_BODY",
    "SUBJECTS",
    "Comment",
    "Comments",
    "LocalPresences",
    "Presences",
    "SharedPresences",
    "Subject",
    "SubjectKind",
    "Viewer",
    "open_presences",
    "presence_topic",
]

"""What people and systems say of what came out: ratings of generations, kept and journaled."""

from mosaic.feedback.schemas import Feedback, NewFeedback
from mosaic.feedback.service import FeedbackService

__all__ = ["Feedback", "FeedbackService", "NewFeedback"]

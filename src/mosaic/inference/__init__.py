"""The model door: choose a model, keep the budget, call, record."""

from mosaic.inference.reference import split_reference
from mosaic.inference.service import Inference
from mosaic.inference.settings import InferenceSettings

__all__ = ["Inference", "InferenceSettings", "split_reference"]

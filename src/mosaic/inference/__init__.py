"""The model door: choose a model, keep the budget, call, record."""

from mosaic.inference.capture import Captures
from mosaic.inference.door import OPERATIONS, ModelDoor
from mosaic.inference.door_call import Answer, DoorCall
from mosaic.inference.door_rooms import DoorRooms, DoorSettings, SimilarSettings
from mosaic.inference.guards import Guards
from mosaic.inference.metrics import DoorMetrics
from mosaic.inference.reference import split_reference
from mosaic.inference.service import Inference
from mosaic.inference.settings import InferenceSettings
from mosaic.inference.traffic import Traffic

__all__ = [
    "OPERATIONS",
    "Answer",
    "Captures",
    "DoorCall",
    "DoorMetrics",
    "DoorRooms",
    "DoorSettings",
    "Guards",
    "Inference",
    "InferenceSettings",
    "ModelDoor",
    "SimilarSettings",
    "Traffic",
    "split_reference",
]

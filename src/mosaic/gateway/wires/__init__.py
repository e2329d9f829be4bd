"""The protocols that clients speak to the gateway, translated from and to our own words. Nothing here does I/O.

`codec` gives what one wire offers; `splice_model`, `ensure_usage` and `own_thoughts` change a body that passes through.
"""

from mosaic.gateway.wires.faults import anthropic_error, declined, openai_error
from mosaic.gateway.wires.interfaces import Scanner, StreamWriter, WireCodec
from mosaic.gateway.wires.model_list import (
    anthropic_model,
    anthropic_models,
    openai_model,
    openai_models,
)
from mosaic.gateway.wires.registry import codec
from mosaic.gateway.wires.schemas import Asked, AskedEmbeddings, ErrorReply, Peek, Scanned
from mosaic.gateway.wires.splicing import ensure_usage, splice_model
from mosaic.gateway.wires.thoughts import own_thoughts
from mosaic.gateway.wires.watching import scan_usage

__all__ = [
    "Asked",
    "AskedEmbeddings",
    "ErrorReply",
    "Peek",
    "Scanned",
    "Scanner",
    "StreamWriter",
    "WireCodec",
    "anthropic_error",
    "anthropic_model",
    "anthropic_models",
    "codec",
    "declined",
    "ensure_usage",
    "openai_error",
    "openai_model",
    "openai_models",
    "own_thoughts",
    "scan_usage",
    "splice_model",
]

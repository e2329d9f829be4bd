"""Provider adapters: canonical messages, the interface of each kind, manifests, the registry, the HTTP core."""

from mosaic.providers.ai import (
    BlobPart,
    Delta,
    FinishReason,
    Message,
    ModelRequest,
    ModelResponse,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    ToolDefinition,
    UriPart,
    Usage,
    part_from_json,
    tool_arguments,
)
from mosaic.providers.interfaces import (
    AiProvider,
    DeclaredPrice,
    ModelCapabilities,
    ModelInfo,
    ProviderHealth,
)
from mosaic.providers.manifest import ProviderManifest, ProviderPlugin
from mosaic.providers.registry import ProviderRegistry
from mosaic.providers.tokens import estimate_text, estimate_tokens

__all__ = [
    "AiProvider",
    "BlobPart",
    "DeclaredPrice",
    "Delta",
    "FinishReason",
    "Message",
    "ModelCapabilities",
    "ModelInfo",
    "ModelRequest",
    "ModelResponse",
    "Part",
    "ProviderHealth",
    "ProviderManifest",
    "ProviderPlugin",
    "ProviderRegistry",
    "ReasoningPart",
    "Role",
    "TextPart",
    "ToolCallPart",
    "ToolCallResponsePart",
    "ToolDefinition",
    "UriPart",
    "Usage",
    "estimate_text",
    "estimate_tokens",
    "part_from_json",
    "tool_arguments",
]

"""Answers kept for the next one who asks: in memory, in Redis, in an object store."""

from mosaic.cache.batching import Batcher
from mosaic.cache.counts import HitCounts, Tally
from mosaic.cache.edge import PRIVATE, EdgePolicy, edge_headers
from mosaic.cache.guard import GuardedTier, TierBounds
from mosaic.cache.interfaces import CacheTier, Embed, PurgeChannel
from mosaic.cache.keys import key_prefix, purge_key, purge_prefix, purge_tag, request_key, scope_of
from mosaic.cache.memory import MemoryTier
from mosaic.cache.object_tier import ObjectTier, open_objects
from mosaic.cache.opening import open_cache
from mosaic.cache.policies import CachePolicies, stricter
from mosaic.cache.questions import Question, read_question
from mosaic.cache.recording import StreamRecorder
from mosaic.cache.redis_tier import RedisPurges, RedisTier, connect_redis
from mosaic.cache.schemas import CachedAnswer, CachePolicy, Entry, Fetch, Found, Purge, Source, TierFigures
from mosaic.cache.semantic import SemanticCache
from mosaic.cache.service import Cache, Lead
from mosaic.cache.settings import CacheSettings
from mosaic.cache.warming import Preload, Warming, WarmingReport

__all__ = [
    "PRIVATE",
    "Batcher",
    "Cache",
    "CachePolicies",
    "CachePolicy",
    "CacheSettings",
    "CacheTier",
    "CachedAnswer",
    "EdgePolicy",
    "Embed",
    "Entry",
    "Fetch",
    "Found",
    "GuardedTier",
    "HitCounts",
    "Lead",
    "MemoryTier",
    "ObjectTier",
    "Preload",
    "Purge",
    "PurgeChannel",
    "Question",
    "RedisPurges",
    "RedisTier",
    "SemanticCache",
    "Source",
    "StreamRecorder",
    "Tally",
    "TierBounds",
    "TierFigures",
    "Warming",
    "WarmingReport",
    "connect_redis",
    "edge_headers",
    "key_prefix",
    "open_cache",
    "open_objects",
    "purge_key",
    "purge_prefix",
    "purge_tag",
    "read_question",
    "request_key",
    "scope_of",
    "stricter",
]

"""Routing: which target takes a request, decided in memory for every provider kind."""

from mosaic.routing.catalog import ProviderTargets, target_of
from mosaic.routing.field import MAX_CANDIDATES, Field, Pool
from mosaic.routing.files import read_routes
from mosaic.routing.forecast import LoadForecast, Scaling
from mosaic.routing.history import Lesson, read_history, train
from mosaic.routing.learned import LearnedRoutes
from mosaic.routing.live import LiveStats, LiveTarget
from mosaic.routing.loading import load_routes, routes_from
from mosaic.routing.router import Router
from mosaic.routing.schemas import (
    ASSUMED_CONTEXT_TOKENS,
    Decision,
    Outcome,
    Prefer,
    Privacy,
    Ranked,
    Rejected,
    RoutePolicy,
    RouteRequest,
    Target,
)
from mosaic.routing.settings import (
    Canary,
    Match,
    Pick,
    Profile,
    Require,
    Route,
    RouteChange,
    RoutingSettings,
    Rule,
    Scope,
    Shadow,
    Sticky,
    Window,
)
from mosaic.routing.source import routes_schema
from mosaic.routing.strategies import STRATEGIES, Strategy
from mosaic.routing.targets import Targets

__all__ = [
    "ASSUMED_CONTEXT_TOKENS",
    "MAX_CANDIDATES",
    "STRATEGIES",
    "Canary",
    "Decision",
    "Field",
    "LearnedRoutes",
    "Lesson",
    "LiveStats",
    "LiveTarget",
    "LoadForecast",
    "Match",
    "Outcome",
    "Pick",
    "Pool",
    "Prefer",
    "Privacy",
    "Profile",
    "ProviderTargets",
    "Ranked",
    "Rejected",
    "Require",
    "Route",
    "RouteChange",
    "RoutePolicy",
    "RouteRequest",
    "Router",
    "RoutingSettings",
    "Rule",
    "Scaling",
    "Scope",
    "Shadow",
    "Sticky",
    "Strategy",
    "Target",
    "Targets",
    "Window",
    "load_routes",
    "read_history",
    "read_routes",
    "routes_from",
    "routes_schema",
    "target_of",
    "train",
]

"""The schema, with its limits."""

from functools import lru_cache

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from mosaic.api.graphql import nouns
from mosaic.api.graphql.documents import field_of
from mosaic.api.graphql.limits import LimitsExtension
from mosaic.api.graphql.mutations import Mutation
from mosaic.api.graphql.problems import ProblemsExtension
from mosaic.api.graphql.queries import Query
from mosaic.api.graphql.scalars import SCALARS
from mosaic.api.graphql.subscriptions import Subscription

__all__ = ["the_schema"]


class _Schema(strawberry.Schema):
    """A schema whose errors are logged where they are shown, and only those that are ours to mend."""

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Log nothing: what a client asked wrongly is no event of the server's."""


@lru_cache(maxsize=1)
def the_schema() -> strawberry.Schema:
    """Return the schema. Making it takes a moment, and it has no state."""
    return _Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[nouns.Comment, nouns.Budget, nouns.Key],
        extensions=[LimitsExtension, ProblemsExtension],
        config=StrawberryConfig(default_resolver=field_of, scalar_map=dict(SCALARS)),
    )

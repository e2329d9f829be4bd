"""Errors of the graph: ours with their code and hint as in problem documents, GraphQL's own as they are, others masked."""

from collections.abc import Iterator

from graphql import GraphQLError
from strawberry.extensions import SchemaExtension
from strawberry.types.execution import StreamExecutionResult

from mosaic.core.errors import LimitExceeded, MosaicError
from mosaic.observability import get_logger

__all__ = ["ProblemsExtension", "shown_error"]

_log = get_logger(__name__)


def shown_error(error: GraphQLError) -> GraphQLError:
    """Return an error as clients may see it."""
    original = error.original_error
    while isinstance(original, GraphQLError) and original.original_error is not None:
        original = original.original_error
    if original is None or isinstance(original, GraphQLError):
        return error
    if isinstance(original, RecursionError):
        original = LimitExceeded("This asks for too deep: hundreds of fields inside fields.")
    if not isinstance(original, MosaicError):
        _log.exception("a resolver failed", exc_info=original)
        original = MosaicError("Something failed inside the server; its log says what.")
    said = original.to_json()
    return GraphQLError(
        said.pop("message"),
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions={"status": original.http_status, **said},
    )


class ProblemsExtension(SchemaExtension):
    """Shows errors as clients may see them, in answers and in streams."""

    def on_operation(self) -> Iterator[None]:
        """Change the errors of the answer."""
        yield
        result = self.execution_context.result
        if result is not None and result.errors:
            result.errors = [shown_error(error) for error in result.errors]

    def on_stream_result(self, result: StreamExecutionResult) -> Iterator[None]:
        """Change the errors of one result of a stream."""
        errors = getattr(result, "errors", None)
        if errors:
            result.errors = [shown_error(error) for error in errors]  # type: ignore[union-attr]  # those that have errors
        yield

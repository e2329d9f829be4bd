"""What is wrong with a request before any room is asked, besides what `mosaic.core.errors` names.

::

    InvalidInput
    └── BadRequest    400  a header or cursor that no client of ours writes
"""

from mosaic.core.errors import InvalidInput

__all__ = ["BadRequest"]


class BadRequest(InvalidInput):
    """A part of the request that only a mistake can have made: nobody types it."""

    code = "bad_request"
    http_status = 400

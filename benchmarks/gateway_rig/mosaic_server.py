"""MosAIc as it is run: `mosaic up`, its settings in a file, a virtual key with a budget."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gateway_rig.contenders import Running
from gateway_rig.processes import CannotStart


@contextlib.contextmanager
def mosaic(upstream: int, scratch: Path) -> Iterator[Running]:
    raise CannotStart("x")
    yield

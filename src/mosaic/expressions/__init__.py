"""Expressions: CEL programs over JSON values, their functions, and what an expression refers to."""

from mosaic.expressions.cel import MAX_EXPRESSION, CelError, Program, compile_program, json_kind
from mosaic.expressions.functions import FAMILIAR, FUNCTIONS, NATIVE_FUNCTIONS
from mosaic.expressions.references import (
    KEYWORDS,
    MACROS,
    TYPE_NAMES,
    Macro,
    Member,
    Reference,
    Scan,
    closing_brace,
    scan,
)

__all__ = [
    "FAMILIAR",
    "FUNCTIONS",
    "KEYWORDS",
    "MACROS",
    "MAX_EXPRESSION",
    "NATIVE_FUNCTIONS",
    "TYPE_NAMES",
    "CelError",
    "Macro",
    "Member",
    "Program",
    "Reference",
    "Scan",
    "closing_brace",
    "compile_program",
    "json_kind",
    "scan",
]

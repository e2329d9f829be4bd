"""Secrets never leave the process: known values and known shapes are masked before anything is written.

A `Redactor` knows the secret values this process holds (provider keys, tokens) and the shapes of common
credentials. Journal data, logs, errors and prompts built from outside text pass through it.
"""

import re
from collections.abc import Iterable

from mosaic.core.values import JsonValue

__all__ = ["MASK", "Redactor", "looks_secret", "names_secret"]

MASK = "[redacted]"
_MIN_SECRET_LENGTH = 8

_SHAPES = re.compile(
    # Not inside a word: "task-fix-the-failing-login-test" is no key. (Looking back after the letters, not before
    # them, keeps the search fast.)
    r"sk-(?<![A-Za-z0-9]sk-)(?:ant-[\w-]{16,}|[\w-]{20,})|mk-(?<![A-Za-z0-9]mk-)[\w-]{40,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|xox[abpr]-[\w-]{10,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
# How every shape begins: most texts hold none of these, and looking for them takes a third of the time.
_BEGINNINGS = (
    "sk-", "mk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "AKIA", "AIza", "eyJ",
    "-----BEGIN",
)  # fmt: skip
_SECRET_NAME = re.compile(
    r"(?i)(api[_-]?key|secret|passw(or)?d|access[_-]?token|auth[_-]?token|private[_-]?key|credential)"
)


def looks_secret(text: str) -> bool:
    """Say whether `text` holds something shaped like a credential."""
    return _SHAPES.search(text) is not None


def names_secret(name: str) -> bool:
    """Say whether a field called `name` is expected to hold a credential."""
    return _SECRET_NAME.search(name) is not None


class Redactor:
    """Masks secret values in text and in JSON values."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: list[str] = []
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Mask `secret` from now on. Values under eight characters are ignored: they would mask prose."""
        if len(secret) >= _MIN_SECRET_LENGTH and secret not in self._known:
            self._known.append(secret)
            self._known.sort(key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return `text` with every secret masked."""
        if len(text) < _MIN_SECRET_LENGTH:
            return text
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, MASK)
        for beginning in _BEGINNINGS:
            if beginning in text:
                return _SHAPES.sub(MASK, text)
        return text

    def value(self, value: JsonValue) -> JsonValue:
        """Return `value` with every secret masked, and the values of secret-named string fields too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):  # JSON makes a list of a tuple: what is in it must be masked too
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self._name(key): self._field(key, item) for key, item in value.items()}
        return value

    def _name(self, key: str) -> str:
        return self.text(key) if isinstance(key, str) else key  # JSON also takes numbers as names

    def _field(self, key: str, item: JsonValue) -> JsonValue:
        if isinstance(item, str) and item and _SECRET_NAME.search(str(key)):
            return MASK
        return self.value(item)

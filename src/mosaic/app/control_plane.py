"""The control plane's tokens: who may start workflows here without being the owner."""

from collections.abc import Mapping
from typing import Any

import jwt
from jwt.exceptions import InvalidTokenError, PyJWTError

from mosaic.app.settings import Settings
from mosaic.core.context import Actor, Context
from mosaic.core.errors import Unauthenticated

__all__ = ["ControlPlane", "PlaneCaller"]

# Asymmetric ones only: with a shared secret, whoever can check could also sign.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_LEEWAY_S = 30.0
_LONGEST_TOKEN = 16_000
_LONGEST_SUBJECT = 180


class PlaneCaller(Context):
    """Whom a token stands for; `project` is the app it is for, or empty for any."""


class ControlPlane:
    """Checks tokens.

    Args:
        settings: which control plane there is.
        environ: where its public key is.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._section = settings.control_plane
        self._tenant = settings.tenant
        self._environ = environ

    @property
    def trusted(self) -> bool:
        """Whether any token is good here."""
        return self._section.token_key is not None

    def caller(self, token: str) -> PlaneCaller:
        """Return whom a token stands for.

        Raises:
            Unauthenticated: if it is not good, or not for us.
        """
        name = self._section.token_key.secret if self._section.token_key is not None else ""
        key = self._environ.get(name, "")
        if not key or len(token) > _LONGEST_TOKEN:
            raise _bad("no token of the control plane is good here" if not key else "it is too long")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._section.audience,
                issuer=self._section.issuer,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except InvalidTokenError as error:
            raise _bad(str(error)[:200].lower()) from error
        except (PyJWTError, ValueError, TypeError) as error:  # what the variable holds is no key
            raise _bad("this server cannot check it") from error
        subject, app_id = claims["sub"], claims.get("app_id", "")
        for told in (subject, app_id):
            if not isinstance(told, str) or len(told) > _LONGEST_SUBJECT or not told.isprintable():
                raise _bad("its subject or its app is none")
        if not subject:
            raise _bad("its subject is none")
        return PlaneCaller(self._tenant, app_id, Actor("user", subject))


def _bad(reason: str) -> Unauthenticated:
    return Unauthenticated(
        f"The token is not accepted: {reason}.",
        hint="The settings say which tokens are: control_plane.token_key, issuer, audience.",
    )

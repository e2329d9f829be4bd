"""The agent card: what other agents may know of this installation."""

from collections.abc import Sequence

from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    HTTPAuthSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)

from mosaic import __version__
from mosaic.workflows import Definition

__all__ = ["RPC_PATH", "card_of"]

RPC_PATH = "/a2a"
_MODES = ("text/plain", "application/json")
_BEARER = "bearer"
_GENERAL = AgentSkill(
    id="delivery",
    name="Software delivery",
    description="Plans and runs software-delivery work with teams of agents: name a workflow as `skill` in the "
    "message's metadata. The extended card lists the workflows.",
    tags=["software", "workflows", "agents"],
)


def card_of(address: str, definitions: Sequence[Definition] = ()) -> AgentCard:
    """Return the card.

    Args:
        address: where this installation answers, without a path.
        definitions: the workflows to list as skills; none for those who have shown no key.
    """
    skills = [
        AgentSkill(
            id=definition.name,
            name=definition.name,
            description=definition.description.strip() or f"The workflow {definition.name}.",
            tags=sorted(definition.labels) or ["workflow"],
            input_modes=list(_MODES),
            output_modes=list(_MODES),
        )
        for definition in definitions
    ]
    return AgentCard(
        name="MosAIc",
        description="Plans and runs software-delivery work with teams of AI agents.",
        version=__version__,
        supported_interfaces=[
            AgentInterface(url=f"{address}{RPC_PATH}", protocol_binding="JSONRPC", protocol_version="1.0")
        ],
        capabilities=AgentCapabilities(streaming=True, push_notifications=True, extended_agent_card=True),
        security_schemes={
            _BEARER: SecurityScheme(
                http_auth_security_scheme=HTTPAuthSecurityScheme(
                    scheme="Bearer", description="A virtual key with the scope `tools`."
                )
            )
        },
        security_requirements=[SecurityRequirement(schemes={_BEARER: StringList()})],
        default_input_modes=list(_MODES),
        default_output_modes=list(_MODES),
        skills=skills or [_GENERAL],
    )

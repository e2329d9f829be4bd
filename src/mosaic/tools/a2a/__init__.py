"""Other installations' agents, reached by the A2A protocol: where they are, what they say, and the call that asks one."""

from mosaic.tools.a2a.peer import A2aPeer
from mosaic.tools.a2a.peers import A2aPeers
from mosaic.tools.a2a.said import Said

__all__ = ["A2aPeer", "A2aPeers", "Said"]

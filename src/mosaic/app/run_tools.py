"""The tools and the policy of a run, from its definition and the installation's settings."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from mosaic.core.context import Context
from mosaic.core.errors import NotFound
from mosaic.core.redaction import Redactor
from mosaic.tools import (
    ApprovalRule,
    McpServer,
    Policy,
    RiskClass,
    Toolbox,
    Toolboxes,
    ToolDeclaration,
    ToolEffect,
    ToolSettings,
)
from mosaic.workflows import Definition
from mosaic.workflows.schemas import Approval, SecretRef, ToolEntry
from mosaic.workflows.schemas import McpServer as McpEntry

__all__ = ["RunTools"]


class RunTools:
    """Opens the toolbox of a definition and says what may run without asking."""

    def __init__(self, settings: ToolSettings, *, data_dir: Path, redactor: Redactor) -> None:
        self.boxes = Toolboxes(settings, data_dir=data_dir)
        self._redactor = redactor

    @asynccontextmanager
    async def open(self, ctx: Context, run_id: str, definition: Definition) -> AsyncIterator[Toolbox]:
        """Open the tools of a definition; servers are shared with others of the run."""
        files = definition.bundle.files
        declarations = [self._declaration(entry, files) for entry in definition.tools.values()]
        async with self.boxes.open(ctx, run_id, declarations) as toolbox:
            yield toolbox

    def policy(self, ctx: Context, definition: Definition) -> Policy:
        """Return the installation's policy, narrowed by the definition's."""
        return Policy().narrowed(
            definition.policies, tools=(*self.boxes.registered().names, *definition.tools)
        )

    async def close(self) -> None:
        """End every connection and server."""
        await self.boxes.close()

    def _declaration(self, entry: ToolEntry, files: Mapping[str, bytes]) -> ToolDeclaration:
        server = entry.server
        return ToolDeclaration(
            name=entry.name,
            mcp=self._server(server) if isinstance(server, McpEntry) else server,
            tool=None
            if entry.all_of_server
            else (entry.tool or (entry.name if entry.source == "mcp" else None)),
            python=entry.function if entry.source == "python" and entry.file is None else None,
            source=files[entry.file] if entry.file else None,
            file=entry.file,
            function=entry.function if entry.file else None,
            risk=RiskClass(entry.risk) if entry.risk else None,
            approval=_rule(entry.approval) if entry.approval else None,
            timeout_s=entry.timeout_s,
            description=entry.description,
            effects=None if entry.effects is None else frozenset(map(ToolEffect, entry.effects)),
            retries=entry.retries,
        )

    def _server(self, server: McpEntry) -> McpServer:
        return McpServer(
            command=server.command,
            url=server.url,
            headers=self._resolved(server.headers),
            environment=self._resolved(server.env),
            trust_annotations=server.trust_annotations,
            confined=server.confined,
            start_timeout_s=server.start_timeout_s,
        )

    def _resolved(self, values: Mapping[str, str | SecretRef]) -> dict[str, str]:
        return {
            name: self._secret(value) if isinstance(value, SecretRef) else value
            for name, value in values.items()
        }

    def _secret(self, reference: SecretRef) -> str:
        """Return a secret's value for the moment of the call; it is masked wherever it might show up."""
        value = os.environ.get(reference.name)
        if value is None:
            raise NotFound(
                f"The secret {reference.name} is not set.", hint=f"Set the variable {reference.name}."
            )
        self._redactor.add(value)
        return f"{reference.prefix}{value}"


def _rule(approval: Approval) -> ApprovalRule:
    return ApprovalRule(
        roles=approval.roles, timeout_s=approval.wait_s, on_timeout=approval.on_timeout, required=True
    )

"""The tools and the policy of a run, from its definition and the installation's settings."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from mosaic.app.sandbox import make_sandbox
from mosaic.app.sections import McpServerSection, SecretName
from mosaic.app.settings import Settings
from mosaic.core.context import Context
from mosaic.core.errors import InvalidDefinition, InvalidInput, NotFound
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
    ToolRegistry,
    ToolSettings,
)
from mosaic.tools.a2a import A2aPeer, A2aPeers
from mosaic.workflows import Definition
from mosaic.workflows.schemas import Approval, SecretRef, ToolEntry
from mosaic.workflows.schemas import McpServer as McpEntry

__all__ = ["RunTools", "base_policy"]


class RunTools:
    """Opens the toolbox of a definition and says what may run without asking.

    Args:
        settings: servers that workflows may name, the installation's policy, bounds.
        redactor: learns every secret that a server gets.
        environ: where secrets are looked up.
        worktree: the checkout of a run on this machine, where stdio servers start.
        registry: makes the registry of tools, given how to read a secret and the names that the settings use.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        redactor: Redactor,
        environ: Mapping[str, str],
        worktree: Callable[[str], Path | None],
        registry: Callable[[Callable[[str], str], Collection[str]], ToolRegistry] | None = None,
    ) -> None:
        self.settings = ToolSettings(
            allow_private_hosts=settings.tools.allow_private_hosts,
            # By name only: a server's secrets are read when a run opens it, see `_server`.
            mcp_servers={name: McpServer() for name in settings.tools.mcp_servers},
            sandbox=make_sandbox(settings.tools.sandbox),
        )
        self._servers = settings.tools.mcp_servers
        self._base = base_policy(settings)
        self._redactor = redactor
        self._environ = environ
        self.registry = registry(self._variable, self._servers) if registry is not None else None
        self.boxes = Toolboxes(
            self.settings, data_dir=settings.home, registry=self.registry, configured=self._configured
        )
        self._worktree = worktree
        self._agents = settings.tools.a2a_agents
        self.peers = A2aPeers(self._agents, self._peer)

    @asynccontextmanager
    async def open(self, ctx: Context, run_id: str, definition: Definition) -> AsyncIterator[Toolbox]:
        """Open the tools of a definition; servers are shared with others of the run."""
        files = definition.bundle.files
        declarations = [self._declaration(entry, files) for entry in definition.tools.values()]
        workspace = await asyncio.to_thread(self._worktree, run_id)
        async with self.boxes.open(ctx, run_id, declarations, workspace=workspace) as toolbox:
            yield toolbox

    def policy(self, ctx: Context, definition: Definition) -> Policy:  # noqa: ARG002  # one policy for all tenants
        """Return the installation's policy, narrowed by the definition's."""
        base = replace(self._base, workflow=definition.name)
        return base.narrowed(definition.policies, tools=(*self.boxes.registered().names, *definition.tools))

    def outside_policy(self, ctx: Context) -> Policy:  # noqa: ARG002  # one policy for all tenants
        """Return the policy of calls from outside any run: the installation's."""
        return self._base

    async def close(self) -> None:
        """End every connection and server."""
        await self.boxes.close()

    def _declaration(self, entry: ToolEntry, files: Mapping[str, bytes]) -> ToolDeclaration:
        server = entry.server
        return ToolDeclaration(
            name=entry.name,
            mcp=self._server(server),
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
            known_as=server if isinstance(server, str) and server in self._servers else None,
        )

    def _peer(self, name: str) -> A2aPeer:
        found = self._agents[name]
        return A2aPeer(name, found.url, self._resolved(found.headers))

    def _configured(self, name: str) -> McpServer:
        return self._reached(self._servers[name])

    def _server(self, server: McpEntry | str | None) -> McpServer | str | None:
        """Return a server with its secrets; a name that the settings do not know stays one, to be refused."""
        found = self._servers.get(server) if isinstance(server, str) else server
        if found is None:
            return server if isinstance(server, str) else None
        return self._reached(found)

    def _reached(self, found: McpEntry | McpServerSection) -> McpServer:
        return McpServer(
            command=found.command,
            url=found.url,
            headers=self._resolved(found.headers),
            environment=self._resolved(found.env),
            trust_annotations=found.trust_annotations,
            confined=found.confined,
            start_timeout_s=found.start_timeout_s,
        )

    def _resolved(self, values: Mapping[str, str | SecretRef | SecretName]) -> dict[str, str]:
        return {
            name: value if isinstance(value, str) else self._secret(value) for name, value in values.items()
        }

    def _secret(self, reference: SecretRef | SecretName) -> str:
        """Return a secret's value for the moment of the call; it is masked wherever it might show up."""
        name = reference.name if isinstance(reference, SecretRef) else reference.secret
        return f"{reference.prefix}{self._variable(name)}"

    def _variable(self, name: str) -> str:
        value = self._environ.get(name)
        if not value:
            raise NotFound(
                f"The secret {name} is not set.", hint=f"Set the variable {name} where MosAIc runs."
            )
        self._redactor.add(value)
        return value


def base_policy(settings: Settings) -> Policy:
    """Return the installation's policy.

    Raises:
        InvalidInput: if the settings name an effect, a class or a decision that does not exist.
    """
    section = settings.approvals
    rule = ApprovalRule(
        roles=section.roles,
        timeout_s=section.timeout_s,
        on_timeout=section.on_timeout,
        quorum=section.quorum,
        counting=section.counting,
        four_eyes=section.four_eyes,
    )
    try:
        return replace(Policy(), approval=rule).narrowed(settings.policies).as_defaults()
    except InvalidDefinition as error:
        raise InvalidInput("The settings' `policies` are wrong.", problems=error.problems) from None


def _rule(approval: Approval) -> ApprovalRule:
    return ApprovalRule(
        roles=approval.roles,
        timeout_s=approval.wait_s,
        on_timeout=approval.on_timeout,
        required=True,
        quorum=approval.quorum,
        counting=approval.counting,
        four_eyes=approval.four_eyes,
    )

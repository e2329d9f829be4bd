"""Each run's own checkout: worktrees, commits, diffs. The orchestrator owns git, agents never do."""

from mosaic.workspaces.git import GitFailed
from mosaic.workspaces.schemas import CommitInfo, Workspace
from mosaic.workspaces.service import Workspaces
from mosaic.workspaces.settings import WorkspaceSettings

__all__ = ["CommitInfo", "GitFailed", "Workspace", "WorkspaceSettings", "Workspaces"]

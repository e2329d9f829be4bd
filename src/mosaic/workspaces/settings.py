"""The settings of workspaces."""

from dataclasses import dataclass

__all__ = ["WorkspaceSettings"]


@dataclass(frozen=True, slots=True)
class WorkspaceSettings:
    """Bounds on what a workspace may cost.

    Attributes:
        git_timeout_s: seconds one git command may take.
        lock_timeout_s: seconds to wait for another process that works on the same repository.
        import_files: how many files a directory that is no git repository may hold.
        import_bytes: how many bytes of content such a directory may hold.
        diff_bytes: how much of a diff is kept.
        author_name: who a commit is by.
        author_email: its address.
    """

    git_timeout_s: float = 300.0
    lock_timeout_s: float = 60.0
    import_files: int = 50_000
    import_bytes: int = 1_000_000_000
    diff_bytes: int = 1_000_000
    author_name: str = "MosAIc"
    author_email: str = "mosaic@localhost"

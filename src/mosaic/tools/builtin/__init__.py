"""The tools that come with MosAIc."""

from mosaic.tools.builtin.files import delete_file, edit_file, list_files, read_file, write_file
from mosaic.tools.builtin.git import git_diff, git_log, git_status
from mosaic.tools.builtin.python import run_python
from mosaic.tools.builtin.search import search_files
from mosaic.tools.builtin.shell import run_shell
from mosaic.tools.functions import FunctionTool
from mosaic.tools.sandbox.monty import monty_is_installed

__all__ = ["BUILTINS"]

BUILTINS: tuple[FunctionTool, ...] = (
    list_files,
    read_file,
    search_files,
    write_file,
    edit_file,
    delete_file,
    git_status,
    git_diff,
    git_log,
    run_shell,
    # Offered only where it can run: a model would try.
    *([run_python] if monty_is_installed() else []),
)

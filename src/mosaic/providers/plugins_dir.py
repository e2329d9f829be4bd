"""Plugins in a folder: one folder each, with `plugin.yaml` and Python beside it.

The manifest is read and checked before any code is imported. Each version of a plugin, and each change of its files,
is a package of its own in this process, so that versions stand side by side and a reload brings new code while the old
one still answers. Compiled code is not cached: a file that changes twice in a second must not be mistaken.
"""

import hashlib
import itertools
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.values import JsonObject
from mosaic.providers.manifest import ProviderManifest, ProviderPlugin
from mosaic.providers.manifest_check import manifest_problems
from mosaic.providers.plugin_sources import BrokenSource, Origin, PluginSource

__all__ = ["MANIFEST_NAME", "FolderSource", "folder_fingerprint", "folder_plugin", "folder_plugins", "forget"]

MANIFEST_NAME = "plugin.yaml"
_PACKAGE = "mosaic_plugin_folders"
_LARGEST_FILE_BYTES = 1024 * 1024
_MOST_FILES = 200


@dataclass(slots=True)
class FolderSource:
    """A plugin in a folder, its manifest read and found right.

    Attributes:
        fingerprint: of every file that can change what it does.
        package: the name under which its modules were imported; empty before.
    """

    folder: Path
    manifest: ProviderManifest
    module: str
    fingerprint: str
    origin: Origin = "folder"
    package: str = ""
    _plugin: ProviderPlugin | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """The manifest's id."""
        return self.manifest.id

    @property
    def where(self) -> str:
        """The folder."""
        return str(self.folder)

    def version(self) -> str:
        """Return the version in the manifest."""
        return self.manifest.version

    def load(self) -> ProviderPlugin:
        """Import the code.

        Raises:
            InvalidInput: if the module has no such function.
            Exception: whatever the module raises.
        """
        if self._plugin is None:
            name, _, function = self.module.partition(":")
            module = _import(self, name)
            create = getattr(module, function or "create", None)
            if not callable(create):
                raise InvalidInput(f"{name} has no function {function or 'create'!r}")
            self._plugin = ProviderPlugin(self.manifest, create)
        return self._plugin


def folder_plugins(directory: Path, *, known: Mapping[str, PluginSource] | None = None) -> list[PluginSource]:
    """Return the plugins below `directory`, broken ones too; nothing is imported. A folder that is not there is empty.

    Args:
        directory: where the folders are.
        known: sources by fingerprint; a folder that is as it was then is not read again.
    """
    if not directory.is_dir():
        return []
    folders = sorted(path.parent for path in directory.glob(f"*/{MANIFEST_NAME}"))
    return [
        folder_plugin(folder, known=known) for folder in folders if not folder.name.startswith((".", "_"))
    ]


def folder_plugin(folder: Path, *, known: Mapping[str, PluginSource] | None = None) -> PluginSource:
    """Return the plugin in `folder`, or what is wrong with it."""
    path = folder / MANIFEST_NAME
    try:
        _refuse_open_to_all(folder)
        fingerprint = folder_fingerprint(folder)
        if known is not None and fingerprint in known:
            return known[fingerprint]
        shown = _read_manifest(path)
    except InvalidInput as error:
        return BrokenSource(folder.name, str(folder), _reason(error), error.problems)
    except OSError as error:
        return BrokenSource(folder.name, str(folder), f"{path} cannot be read: {error.strerror}")
    module = str(shown.pop("module", "provider:create"))
    return FolderSource(folder, ProviderManifest.from_json(shown), module, fingerprint)


def folder_fingerprint(folder: Path) -> str:
    """Return a hash of the plugin's files: names and contents of everything but caches.

    Raises:
        InvalidInput: if there are more than 200 files, or one is larger than 1 MiB.
        OSError: if one cannot be read.
    """
    digest = hashlib.sha256(str(folder.absolute()).encode())
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(folder).parts)
    )
    if len(files) > _MOST_FILES:
        raise InvalidInput(f"{folder} holds {len(files)} files, more than {_MOST_FILES}")
    for path in files:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise InvalidInput(f"{path} is larger than {_LARGEST_FILE_BYTES:,} bytes")
        content = path.read_bytes()
        digest.update(f"\0{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def forget(source: PluginSource) -> None:
    """Drop the modules of a plugin that nobody uses any more, so that reloads do not pile them up."""
    if isinstance(source, FolderSource) and source.package:
        # A list first: other threads import while this one looks.
        for name in list(sys.modules):
            if name == source.package or name.startswith(source.package + "."):
                del sys.modules[name]
        _finder.folders.pop(source.package, None)


def _refuse_open_to_all(folder: Path) -> None:
    """Refuse code that anybody on this machine could have put there."""
    for path in (folder, folder / MANIFEST_NAME):
        if os.name == "posix" and path.stat().st_mode & stat.S_IWOTH:
            raise InvalidInput(
                f"{path} can be changed by every user of this machine; run: chmod -R o-w {folder}"
            )


def _read_manifest(path: Path) -> JsonObject:
    from ruamel.yaml import YAML  # noqa: PLC0415  # start-up time: most installations have no such folder
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    if path.stat().st_size > _LARGEST_FILE_BYTES:
        raise InvalidInput(f"{path} is larger than {_LARGEST_FILE_BYTES:,} bytes")
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        shown: Any = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = Problem(error.problem or "not valid YAML", file=str(path), line=line, column=column)
        raise InvalidInput("its manifest is not valid YAML", problems=[problem]) from None
    except (YAMLError, RecursionError, ValueError):
        raise InvalidInput(f"{path} is not valid YAML") from None
    if not isinstance(shown, dict):
        raise InvalidInput(f"{path} must hold a mapping")
    problems = manifest_problems(shown)
    if problems:
        raise InvalidInput(
            "its manifest is wrong", problems=[_placed(problem, path, text) for problem in problems]
        )
    return shown


def _placed(problem: Problem, path: Path, text: str) -> Problem:
    """Return the problem with its line: that of the setting, or of the nearest one around it."""
    from ruamel.yaml import YAML  # noqa: PLC0415

    node: Any = YAML(typ="rt", pure=True).load(text)
    line, column = 1, 1
    for part in problem.path.replace("[", ".").replace("]", "").split("."):
        try:
            listed = isinstance(node, list)
            key: Any = int(part) if listed else part
            mark: tuple[int, int] = (node.lc.item if listed else node.lc.key)(key)
            node = node[key]
        except (AttributeError, KeyError, IndexError, TypeError, ValueError):
            break
        line, column = mark[0] + 1, mark[1] + 1
    message = f"{problem.path}: {problem.message}" if problem.path else problem.message
    return Problem(message, problem.path, str(path), line, column)


def _reason(error: InvalidInput) -> str:
    return f"{error.message}: {error.problems[0]}" if error.problems else error.message


class _Uncached(SourceFileLoader):
    """Compiles each time: the cache knows a file by size and second, and a reload may be faster than that."""

    def path_stats(self, path: str) -> Any:
        """Say that the file's time is not known, which keeps the import system from its cache."""
        raise OSError(path)


class _FolderFinder(MetaPathFinder):
    """Finds the modules of plugin folders, and nothing else."""

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}

    def find_spec(
        self,
        fullname: str,
        path: Any = None,  # noqa: ARG002  # the interface's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return where a module of a plugin folder is."""
        if not fullname.startswith(_PACKAGE + "."):
            return None
        package = ".".join(fullname.split(".")[:2])
        folder = self.folders.get(package)
        if folder is None:
            return None
        base = folder.joinpath(*fullname.split(".")[2:])
        if fullname == package and not (folder / "__init__.py").is_file():
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [str(folder)]
            return spec
        for file, locations in ((base / "__init__.py", [str(base)]), (base.with_suffix(".py"), None)):
            if file.is_file():
                loader = _Uncached(fullname, str(file))
                return spec_from_file_location(
                    fullname, file, loader=loader, submodule_search_locations=locations
                )
        return None


_finder = _FolderFinder()
_numbers = itertools.count(1)


def _import(source: FolderSource, name: str) -> ModuleType:
    from importlib import import_module  # noqa: PLC0415

    if _finder not in sys.meta_path:
        # First: a plugin's package has a path, and the usual finder would read its modules from the bytecode cache.
        sys.meta_path.insert(0, _finder)
        sys.modules[_PACKAGE] = module_from_spec(ModuleSpec(_PACKAGE, None, is_package=True))
    source.package = f"{_PACKAGE}.{source.id.replace('-', '_')}_{next(_numbers)}"
    _finder.folders[source.package] = source.folder
    try:
        return import_module(f"{source.package}.{name}")
    except BaseException:
        forget(source)
        raise

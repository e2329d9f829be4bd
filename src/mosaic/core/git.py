"""How MosAIc starts git so that a repository cannot make it run anything.

A repository can name programs in its configuration (hooks, filters, diff and merge drivers, a file-system monitor,
transports, signing programs) and git runs them in the middle of plain commands. Every git process of ours gets the
environment made here: no system or user configuration, every transport refused, every single-valued program key
overridden, and, once the caller has read the names a repository's configuration uses, every named driver emptied.
The overrides travel in ``GIT_CONFIG_KEY_n`` because ``-c`` cannot carry a driver whose name holds ``=``.
"""

import re
from collections.abc import Mapping

__all__ = ["LIST_CONFIG_KEYS", "driver_overrides", "git_environment"]

LIST_CONFIG_KEYS = ("config", "--list", "--name-only", "-z")
"""The arguments that list a repository's configuration keys; `driver_overrides` reads the output."""

_OVERRIDES: dict[str, str] = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.attributesFile": "/dev/null",
    "core.autocrlf": "false",
    "core.sshCommand": "false",
    "core.gitProxy": "false",
    "core.askPass": "false",
    "core.editor": "false",
    "core.pager": "cat",
    "core.alternateRefsCommand": "true",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "sequence.editor": "false",
    "credential.helper": "",
    "diff.external": "",
    "diff.ignoreSubmodules": "all",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "gpg.program": "false",
    "gpg.ssh.program": "false",
    "gpg.x509.program": "false",
    "gpg.ssh.defaultKeyCommand": "",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "log.showSignature": "false",
    "protocol.allow": "never",
    "protocol.ext.allow": "never",
    "protocol.file.allow": "never",
    "safe.directory": "*",
    "safe.bareRepository": "explicit",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "advice.detachedHead": "false",
    "color.ui": "false",
}
# A driver under any of these sections is a shell command that git runs on content or by a command's name.
_DRIVER = re.compile(
    r"(?is)(filter\..+\.(clean|smudge|process|required)|diff\..+\.(textconv|command)|merge\..+\.driver"
    r"|trailer\..+\.(command|cmd)|alias\..+|pager\..+|interactive\.difffilter|difftool\..+|mergetool\..+"
    r"|gpg\..+|credential\..+|remote\..+\.(uploadpack|receivepack|vcs|proxy)|submodule\..+\.update"
    r"|uploadpack\.packobjectshook|man\..+|browser\..+|web\.browser|sendemail\..+|guitool\..+|hook\..+)"
)


def driver_overrides(listing: bytes) -> dict[str, str]:
    """Return the overrides that empty every program named in a configuration.

    Args:
        listing: what git printed for `LIST_CONFIG_KEYS`.
    """
    found: dict[str, str] = {}
    for raw in listing.split(b"\0"):
        key = raw.decode("utf-8", "surrogateescape")
        if _DRIVER.fullmatch(key) and key.lower() not in _FIXED:
            found[key] = "false" if key.lower().endswith(".required") else ""
    return found


_FIXED = frozenset(key.lower() for key in _OVERRIDES)


def git_environment(
    path: str,
    *,
    home: str = "/dev/null",
    overrides: Mapping[str, str] | None = None,
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the whole environment of a git process; nothing of ours is inherited.

    Args:
        path: the ``PATH`` on which git finds its own programs.
        home: the home directory it sees.
        overrides: further configuration, stronger than any file, such as `driver_overrides` makes.
        extra: further variables.
    """
    settings = {**_OVERRIDES, **(overrides or {})}
    environment = {
        "PATH": path,
        "HOME": home,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "false",
        "SSH_ASKPASS": "false",
        "GIT_EDITOR": "false",
        "GIT_PAGER": "cat",
        # Stronger than any protocol.*.allow of the repository: no transport has this name.
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings.items()):
        environment[f"GIT_CONFIG_KEY_{number}"] = key
        environment[f"GIT_CONFIG_VALUE_{number}"] = value
    return {**environment, **(extra or {})}

"""Files, the environment and git: what a command must neither change nor see."""

import asyncio
import os
import secrets
import tempfile
from pathlib import Path

from mosaic.tools.processes import OutputLimits
from mosaic.tools.sandbox.conformance.grounds import MEGABYTE, Grounds, check, must
from mosaic.tools.sandbox.conformance.reach import unix_server
from mosaic.tools.sandbox.schemas import Hold

__all__: list[str] = []


@check(Hold.WRITES, local=True)
async def changes_nothing_outside(on: Grounds) -> None:
    """Not by name, by link, by rename, by mode, nor in the user's home or the system."""
    script = """
        o="$1"; h="$2"; m="$3"
        for p in "$o" "$h" /etc /usr /usr/local/bin /var /dev/shm/.. /run /boot; do echo x > "$p/$m"; mkdir "$p/$m.d"; done
        echo x > "$o/secret"; echo x >> "$o/secret"; rm -f "$o/secret"; mv "$o/secret" here; ln "$o/secret" hard
        truncate -s 0 "$o/secret"; ln -s "$o" out; echo x > out/through; cp -r . "$o/copy"
        ln -s "$o/secret" s; echo x > s; mknod disk b 8 0; mknod mem c 1 1
        true
    """
    secret = on.outside / "secret"
    await on.sh(script, str(on.outside), str(Path.home()), on.marker)
    must(secret.read_text() == "untouched", "the file outside was changed")
    must(secret.stat().st_nlink == 1, "the file outside was linked")
    must(sorted(os.listdir(on.outside)) == ["secret"], f"{os.listdir(on.outside)} is outside")
    for place in (
        Path.home(),
        *map(Path, ("/etc", "/usr", "/usr/local/bin", "/var", "/dev", "/run", "/boot")),
    ):
        for name in (on.marker, f"{on.marker}.d"):
            must(not (place / name).exists(), f"{place / name} was made")
    made = [path for path in on.workspace.iterdir() if path.is_block_device() or path.is_char_device()]
    must(not made, f"device files were made: {made}")


@check(Hold.METADATA, local=True)
async def changes_no_mode_time_or_owner_outside(on: Grounds) -> None:
    """Neither of a file nor of a directory, by name or through a link."""
    secret = on.outside / "secret"
    before = [(found.st_mode, found.st_mtime, found.st_uid) for found in (secret.stat(), on.outside.stat())]
    script = """
        o="$1"; chmod 777 "$o" "$o/secret"; touch -d 2001-01-01 "$o" "$o/secret"; chown 1:1 "$o" "$o/secret"
        ln -s "$o/secret" s; chmod 700 s; ln -s "$o" d; chmod 711 d d/secret; touch -d 2001-01-01 s d
        python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.x", b"x")' "$o/secret"; true
    """
    await on.sh(script, str(on.outside))
    after = [(found.st_mode, found.st_mtime, found.st_uid) for found in (secret.stat(), on.outside.stat())]
    must(before == after and os.listxattr(secret) == [], f"{before} became {after}")


@check(Hold.WRITES, local=True)
async def keeps_the_kernel_as_it_is(on: Grounds) -> None:
    """Neither settings of the kernel nor other processes can be changed."""
    # Opened for writing, never written: the check must leave a machine alone on which it fails.
    script = (
        "import os, sys\nfor top, _, names in os.walk('/proc/sys'):\n  for p in (os.path.join(top, n) for n in names):\n"
        "    try: os.close(os.open(p, os.O_WRONLY)); print(p)\n    except OSError: pass\n"
        "for p in ('/proc/sysrq-trigger', '/proc/irq/default_smp_affinity', '/proc/mtrr'):\n"
        "  try: os.close(os.open(p, os.O_WRONLY)); print(p)\n  except OSError: pass\n"
        "try: os.kill(int(sys.argv[1]), 0); print('signal')\nexcept OSError: pass"
    )
    tries = await on.python(script, str(os.getpid()))
    # In a process namespace our number may be somebody's inside; it is not in one that has just begun.
    must(tries.stdout.text == "", f"it could change {tries.stdout.text!r}")


@check(Hold.READS, local=True)
async def reads_nothing_outside(on: Grounds) -> None:
    """Not by name, by link, nor through the kernel's views of other processes."""
    script = """
        o="$1"; cat "$o/secret"; ls "$o"; ln -s "$o/secret" s; cat s; ln -s "$o" d; cat d/secret
        cat "/proc/$2/root$o/secret" "/proc/$2/cwd/../outside/secret" /proc/1/root"$o"/secret; cp "$o/secret" copy; cat copy
        cat /etc/shadow /etc/sudoers /etc/ssh/ssh_host_*_key
    """
    done = await on.sh(script, str(on.outside), str(os.getpid()))
    must(done.stdout.text == "", f"it read {done.stdout.text[:200]!r}")


@check(Hold.READS, local=True)
async def does_not_see_the_home_directory(on: Grounds) -> None:
    """No file that lies directly in the home directory of the user who runs us can be read."""
    script = "import sys\nfor p in sys.argv[1:]:\n  try: open(p, 'rb').read(1) and print(p)\n  except OSError: pass"
    with tempfile.NamedTemporaryFile(dir=Path.home(), prefix=".mosaic-check-") as ours:  # a home may be empty
        ours.write(b"x")
        ours.flush()
        files = [entry.path for entry in os.scandir(Path.home()) if entry.is_file() and entry.stat().st_size]
        done = await on.python(script, ours.name, *files[:200])
    must(
        done.exit_code == 0 and done.stdout.text == "",
        f"it read {done.stdout.text[:200]!r} {done.stderr.text[-200:]}",
    )


@check(Hold.READS, local=True)
async def does_not_reach_servers_of_this_machine(on: Grounds) -> None:
    """A unix socket outside, with a path or abstract, answers nobody inside: whoever serves it is not confined."""
    path, abstract = str(on.outside / "server"), f"\0mosaic-{on.marker}"
    script = (
        "import socket, sys\n"
        "for name in (sys.argv[1], '\\0' + sys.argv[2]):\n"
        "  try: s = socket.socket(socket.AF_UNIX); s.settimeout(2); s.connect(name); print('reached', repr(name))\n"
        "  except OSError: pass\n"
    )
    with unix_server(path), unix_server(abstract):
        done = await on.python(script, path, abstract[1:])
    must(
        done.exit_code == 0 and done.stdout.text == "", f"{done.stdout.text[:200]} {done.stderr.text[-200:]}"
    )


@check(Hold.ENVIRONMENT, local=True)
async def does_not_see_our_environment(on: Grounds) -> None:
    """No variable of ours, neither passed on nor read from our process."""
    name, value = "MOSAIC_CONFORMANCE_KEY", f"sk-{secrets.token_hex(16)}"
    os.environ[name] = value
    try:
        # It has the variable from its start, as a server has the keys that it was started with.
        other = await asyncio.create_subprocess_exec("sleep", "60")
        done = await on.sh(
            'env; cat "/proc/$1/environ" "/proc/$2/environ" /proc/*/environ "/proc/$2/mem" | tr "\\0" "\\n"; true',
            str(os.getpid()),
            str(other.pid),
            output=OutputLimits(head_bytes=4 * MEGABYTE),
        )
        other.kill()
        await other.wait()
    finally:
        del os.environ[name]
    must(value not in done.stdout.text and name not in done.stdout.text, "our key came through")


@check(Hold.GIT, local=True)
async def keeps_hooks_and_configuration_of_git(on: Grounds) -> None:
    """What git would execute stays as it was, also when its folder is moved away or replaced."""
    git = on.workspace / ".git"
    (git / "hooks").mkdir(parents=True)
    (git / "config").write_text("[core]\n\tbare = false\n")
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    script = """
        echo x > .git/hooks/post-checkout; echo '[core] fsmonitor = x' >> .git/config; rm -rf .git; mv .git .other
        mkdir -p .git/hooks; cp /bin/sh .git/hooks/pre-commit; ln -s /tmp/hooks .git/hooks2; mv .git/hooks .git/old
        git config core.hooksPath evil; git config core.sshCommand x; echo x > .git/info; echo x > .git/config.worktree
        chmod 777 .git/config; mount -o remount,rw . ; umount .git; true
    """
    await on.sh(script)
    must(_content(git / "config") == "[core]\n\tbare = false\n", "the configuration was changed")
    must(list((git / "hooks").iterdir()) == [], "a hook was written")
    must(sorted(os.listdir(git)) == ["HEAD", "config", "hooks"], f"{os.listdir(git)} is in .git")


@check(Hold.GIT, local=True)
async def keeps_the_pointer_of_a_linked_worktree(on: Grounds) -> None:
    """A worktree's ``.git`` file cannot be made to point elsewhere."""
    pointer = on.workspace / ".git"
    pointer.write_text("gitdir: /nowhere/worktrees/run\n")
    script = "echo 'gitdir: evil' > .git; rm -f .git; mv .git x; mkdir -p evil; ln -sf evil .git; cp evil .git; true"
    await on.sh(script)
    must(_content(pointer) == "gitdir: /nowhere/worktrees/run\n", "the pointer was changed")


def _content(file: Path) -> str | None:
    try:
        return file.read_text()
    except OSError:
        return None

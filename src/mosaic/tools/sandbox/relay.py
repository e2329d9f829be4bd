"""Runs a command inside a sandbox and lets it reach one unix socket as a server on its own loopback interface.

Usage: python -I relay.py PORT SOCKET PROGRAM [ARGUMENT...]

It runs inside, with the standard library alone, as whoever the command is: nothing is trusted to it.
"""

import asyncio
import contextlib
import signal
import sys

_CHUNK = 65_536


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _main(port: int, path: str, argv: list[str]) -> int:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(path)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            far_writer.close()
            writer.close()

    server = await asyncio.start_server(carry, "127.0.0.1", port)
    try:
        process = await asyncio.create_subprocess_exec(*argv)
    except OSError as error:
        sys.stderr.write(f"Cannot start {argv[0]}: {error.strerror}\n")
        return 127
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.send_signal, number)
    code = await process.wait()
    server.close()
    return 128 - code if code < 0 else code  # as shells tell of a signal


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])))

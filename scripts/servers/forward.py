#!/usr/bin/env python3
"""Forwards TCP connections: forward.py PORT TARGET_FILE PID_FILE

The target, HOST:PORT, is read from the file at each new connection. SIGHUP closes every open
connection. A target that cannot be reached closes the new one.
"""

import asyncio
import os
import signal
import sys

port, target_file, pid_file = int(sys.argv[1]), sys.argv[2], sys.argv[3]
open_writers = set()


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        pass


async def serve(reader, writer):
    with open(target_file) as file:
        host, target_port = file.read().strip().rsplit(":", 1)
    try:
        there_reader, there_writer = await asyncio.open_connection(host, int(target_port))
    except OSError:
        writer.close()
        return
    writers = {writer, there_writer}
    open_writers.update(writers)
    await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))
    open_writers.difference_update(writers)
    for each in writers:
        each.close()


def cut():
    for writer in open_writers:
        writer.transport.abort()


async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, cut)
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    with open(pid_file, "w") as file:
        file.write(str(os.getpid()))
    await server.serve_forever()


asyncio.run(main())

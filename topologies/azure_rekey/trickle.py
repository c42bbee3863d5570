"""A TCP connection with very little on it, kept for days.  A program for a node, not a module.

    trickle.py answer PORT                  send every line back
    trickle.py ask HOST PORT SECONDS FILE   one numbered line every so often; what came back to FILE

FILE gets a line for each question that was answered: its number, when it was sent and when the
answer had come (ns since 1970).
"""

import socket
import sys
import time
from pathlib import Path


def answer(port: int) -> None:
    """Serve one connection after the other."""
    with socket.create_server(("", port)) as server:
        while True:
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(4096):
                    connection.sendall(data)


def ask(host: str, port: int, seconds: float, file: str) -> None:
    """Ask for ever."""
    with (
        socket.create_connection((host, port)) as connection,
        connection.makefile("rw") as lines,
        Path(file).open("w", buffering=1) as log,
    ):
        number = 0
        while True:
            number += 1
            sent = time.time_ns()
            lines.write(f"{number}\n")
            lines.flush()
            if lines.readline() != f"{number}\n":
                sys.exit(f"question {number} was not answered")
            log.write(f"{number} {sent} {time.time_ns()}\n")
            time.sleep(seconds)


if sys.argv[1] == "answer":
    answer(int(sys.argv[2]))
else:
    ask(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5])

"""A TCP connection with very little on it, kept for days.  A program for a node, not a module.

    trickle.py answer PORT                  send every line back
    trickle.py ask HOST PORT SECONDS FILE   one numbered line every so often; what came back to FILE

FILE gets a line for each question, its number and when it was sent (ns since 1970), and another one
once it was answered, which says also when.  SIGTERM ends the asking between two questions: a
question without an answer is one that was not answered, not one that was cut off.
"""

import signal
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
    """Ask until SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    with (
        Path(file).open("w", buffering=1) as log,
        socket.create_connection((host, port)) as connection,
        connection.makefile("rw") as lines,
    ):
        number = 0
        while True:
            number += 1
            sent = time.time_ns()
            log.write(f"{number} {sent}\n")
            lines.write(f"{number}\n")
            lines.flush()
            if lines.readline() != f"{number}\n":
                sys.exit(f"question {number} was not answered")
            log.write(f"{number} {sent} {time.time_ns()}\n")
            if signal.sigtimedwait([signal.SIGTERM], seconds) is not None:
                return


if sys.argv[1] == "answer":
    answer(int(sys.argv[2]))
else:
    ask(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5])

"""Which engine is used: the one that is named, else the first that answers; nothing is started."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.images import engine
from testbed.images.errors import EngineError

Serve = Callable[[Path, bytes], None]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Answers at a socket, whatever is asked."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def listen(path: Path, answer: bytes) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        listeners.append(listener)

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(answer)

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield listen
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()


OK = b"HTTP/1.0 200 OK\r\n\r\nOK"


@pytest.fixture
def sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Where engines are looked for: the machine's, and the private one."""
    machine, private = tmp_path / "machine.sock", tmp_path / "private.sock"
    monkeypatch.setattr(engine, "candidates", lambda _environment: iter((machine, private)))
    return machine, private


def test_the_places_where_engines_are_looked_for() -> None:
    found = list(engine.candidates({"XDG_RUNTIME_DIR": "/run/user/7"}))
    assert [str(path) for path in found] == [
        "/var/run/docker.sock",
        "/run/user/7/docker.sock",
        "/run/testbed-docker/docker.sock",
    ]


def test_an_engine_that_is_named_is_taken_at_its_word(
    sockets: tuple[Path, Path], serve: Serve
) -> None:
    serve(sockets[0], OK)
    assert engine.find_engine({"DOCKER_HOST": "tcp://127.0.0.1:1"}) == "tcp://127.0.0.1:1"


def test_the_first_that_answers_is_used(sockets: tuple[Path, Path], serve: Serve) -> None:
    machine, private = sockets
    assert engine.find_engine({}) is None
    serve(private, OK)
    assert engine.find_engine({}) == f"unix://{private}"
    serve(machine, OK)
    assert engine.find_engine({}) == f"unix://{machine}"


def test_something_else_at_a_socket_is_no_engine(sockets: tuple[Path, Path], serve: Serve) -> None:
    machine, private = sockets
    serve(machine, b"220 mail.example ESMTP\r\n")
    serve(private, OK)
    assert engine.find_engine({}) == f"unix://{private}"


def test_where_none_answers_every_place_and_its_reason_are_told(
    sockets: tuple[Path, Path], serve: Serve
) -> None:
    machine, private = sockets
    serve(private, b"220 mail.example ESMTP\r\n")
    with pytest.raises(EngineError) as caught:
        engine.connect({})
    assert f"{machine}: No such file or directory" in caught.value.what
    assert f"{private}: something else" in caught.value.what
    assert "setup/docker-engine.sh start" in (caught.value.hint or "")


def test_a_named_engine_that_does_not_answer_is_an_error_with_its_address(tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/none.sock"
    with pytest.raises(EngineError, match="does not answer") as caught:
        engine.connect({"DOCKER_HOST": address})
    assert caught.value.where == address

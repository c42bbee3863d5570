"""A lab that goes away before it has answered is told as just that."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from testbed.errors import LabError
from testbed.kernel.channel import Channel, ChannelClosedError
from testbed.lab_command import start_command
from testbed.lab_talk import Conversation
from testbed.supervisor.channel import listen


def _with_a_lab_that_hangs_up(name: str, ask: Callable[[], object]) -> None:
    """Call ``ask`` while the lab of that name takes one request and ends."""
    with listen(name) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            channel = Channel(connection)
            _, descriptors = channel.receive()
            for descriptor in descriptors:
                os.close(descriptor)
            channel.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            ask()
        finally:
            thread.join()


def test_the_command_ends_with_its_lab() -> None:
    # The command may have printed already: it has its output, the lab's answer takes another way.
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a count
    with pytest.raises(LabError, match=r"^lab 'gone-1' went down, and the command with it$"):
        _with_a_lab_that_hangs_up("gone-1", lambda: start_command("gone-1", "alice", ["true"]))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_question_names_the_lab() -> None:
    def ask() -> None:
        with Conversation("gone-2") as talk:
            talk.ask({"do": "status"})

    with pytest.raises(ChannelClosedError, match=r"^lab 'gone-2' went down before it answered$"):
        _with_a_lab_that_hangs_up("gone-2", ask)

"""Wait until the kernel has freed the network namespaces that earlier runs left.

It does so in the background, one batch after the other, after ``down`` has returned, and would slow
whoever runs next.  So one more namespace is given up, with a cable into one that lives: when the
cable is gone, its batch has begun and those before it are done.  The same again for its own batch.

    python -m bench.settle      answers each line of standard input with a line when it is quiet
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

from testbed.errors import TestbedError
from testbed.kernel import links, namespaces
from testbed.kernel.rtnl import RouteSocket

_NAME = "witness"
_LOOK_EVERY = 0.01
_REST = 0.05  # for what the kernel still does after the last cable is gone


class Quiet:
    """A helper process that waits in a namespace of its own, which lives as long as it does."""

    def __init__(self) -> None:
        self._helper = subprocess.Popen(
            (sys.executable, "-m", "bench.settle"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._helper.communicate()

    def wait(self) -> None:
        """Return when the kernel has freed what was given up before.

        Raises:
            TestbedError: the helper failed.
        """
        assert self._helper.stdin is not None
        assert self._helper.stdout is not None
        try:
            self._helper.stdin.write("\n")
            self._helper.stdin.flush()
            answer = self._helper.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise TestbedError("the process that waits for quiet has ended", where="bench.settle")


def _await_quiet(living: int) -> None:
    for _ in range(2):
        dying = namespaces.new_network()
        namespaces.enter_network(living)
        with RouteSocket() as kernel:
            kernel.run(links.veth(links.VethEnd(_NAME), links.VethEnd("other", netns_fd=dying)))
        os.close(dying)
        while _NAME in {name for _, name in socket.if_nameindex()}:
            time.sleep(_LOOK_EVERY)
    time.sleep(_REST)


def main() -> None:
    """Serve until standard input ends."""
    living = namespaces.new_network()
    for _ in sys.stdin:
        _await_quiet(living)
        print(flush=True)


if __name__ == "__main__":
    main()

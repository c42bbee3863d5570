"""Waiting until the kernel has freed namespaces."""

from __future__ import annotations

import os
import socket

import pytest

from bench.settle import Quiet
from testbed.errors import TestbedError
from testbed.kernel import links, namespaces
from testbed.kernel.rtnl import RouteSocket
from tests.kernel.in_netns import in_new_network

pytestmark = pytest.mark.needs_root


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid() != 0:
        pytest.skip("the start-up benchmark needs root")


def test_what_was_given_up_before_is_gone() -> None:
    def cables_left() -> list[str]:
        home = namespaces.current_network()
        with Quiet() as quiet:
            for number in range(20):
                dying = namespaces.new_network()
                namespaces.enter_network(home)
                with RouteSocket() as kernel:
                    far = links.VethEnd("far", netns_fd=dying)
                    kernel.run(links.veth(links.VethEnd(f"near{number}"), far))
                os.close(dying)
            quiet.wait()
            return [name for _, name in socket.if_nameindex() if name.startswith("near")]

    assert in_new_network(cables_left) == []


def test_a_helper_that_cannot_work_is_told() -> None:
    with Quiet() as quiet:
        quiet.wait()
        quiet._helper.kill()
        quiet._helper.wait()
        with pytest.raises(TestbedError, match="has ended"):
            quiet.wait()

"""nftables rules loaded into a namespace, and the complaints about bad ones."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from testbed.errors import KernelError, MissingFeatureError
from testbed.kernel import libc, links, nft
from testbed.kernel.namespaces import find_program
from testbed.kernel.rtnl import RouteSocket
from tests.kernel.in_netns import in_new_network

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(find_program("nft") is None, reason="nft (package nftables) is missing"),
]

FIREWALL = """
table inet filter {
  chain input {
    type filter hook input priority 0; policy accept;
    udp dport 9999 counter drop
  }
}
"""


def _refusal(text: str, where: str | None = None) -> str:
    def work() -> str:
        with pytest.raises(KernelError) as caught:
            nft.load(text, where)
        assert nft.ruleset() == []  # all or nothing
        return str(caught.value)

    return in_new_network(work)


def _send(port: int) -> None:
    """Send a datagram over the loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("127.0.0.1", port))


def _dropped() -> int:
    """How many packets the rule has dropped."""
    rule = next(entry["rule"] for entry in nft.ruleset() if "rule" in entry)
    counter = next(part["counter"] for part in rule["expr"] if "counter" in part)
    return int(counter["packets"])


def test_rules_are_loaded_listed_and_obeyed() -> None:
    def work() -> tuple[list[dict[str, Any]], bytes]:
        with RouteSocket() as kernel:
            kernel.run(links.change("lo", up=True))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", 9999))
            receiver.settimeout(30)
            _send(9999)
            received = receiver.recv(10)
            nft.load(FIREWALL)
            _send(9999)
            deadline = time.monotonic() + 30
            while _dropped() < 1 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert _dropped() == 1
            receiver.setblocking(False)
            with pytest.raises(BlockingIOError):
                receiver.recv(10)
        return nft.ruleset(), received

    listed, received = in_new_network(work)
    assert [next(iter(entry)) for entry in listed] == ["table", "chain", "rule"]
    assert listed[1]["chain"]["hook"] == "input"
    assert received == b"x"


def test_a_syntax_error_names_line_column_and_text() -> None:
    text = _refusal(FIREWALL.replace("dport", "dportt"), "node cpe")
    assert text.startswith("node cpe: could not load the nftables rules: line 5, column 9: syntax")
    assert "udp dportt 9999 counter drop" in text


def test_every_complaint_is_told() -> None:
    text = _refusal("add rule ip nowhere a accept\nadd rule ip nowhere b accept\n")
    assert "line 1, column" in text
    assert "line 2, column" in text
    assert "add rule ip nowhere b accept" in text


def test_no_privilege_is_told() -> None:
    def work() -> str:
        libc.unshare(libc.CLONE_NEWUSER)
        with pytest.raises(KernelError) as caught:
            nft.load(FIREWALL)
        return str(caught.value)

    text = in_new_network(work)
    assert "Operation not permitted" in text
    assert "CAP_NET_ADMIN" in text


def test_a_missing_nft_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "find_program", lambda name: None)
    with pytest.raises(MissingFeatureError, match="Debian package nftables"):
        nft.load(FIREWALL)

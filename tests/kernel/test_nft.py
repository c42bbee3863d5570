"""nftables rules loaded into a namespace, and the complaints about bad ones."""

from __future__ import annotations

import socket
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


def _sends_to(port: int) -> bool:
    """True when a datagram over loopback to the port arrives."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", port))
        sender.sendto(b"x", ("127.0.0.1", port))
        receiver.setblocking(False)  # loopback delivers inside sendto
        try:
            return receiver.recv(10) == b"x"
        except BlockingIOError:
            return False


def test_rules_are_loaded_listed_and_obeyed() -> None:
    def work() -> tuple[list[dict[str, Any]], bool, bool, bool]:
        with RouteSocket() as kernel:
            kernel.run(links.change("lo", up=True))
        before = _sends_to(9999)
        nft.load(FIREWALL)
        return nft.ruleset(), before, _sends_to(9999), _sends_to(9998)

    listed, before, dropped, passed = in_new_network(work)
    assert [next(iter(entry)) for entry in listed] == ["table", "chain", "rule"]
    assert listed[1]["chain"]["hook"] == "input"
    assert before
    assert not dropped
    assert passed


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

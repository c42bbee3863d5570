"""Queueing disciplines: judged by ``tc`` where this kernel has them, else by tc's own bytes."""

from __future__ import annotations

import errno
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from testbed.errors import KernelError, MissingFeatureError
from testbed.kernel import links, tc
from testbed.kernel.netlink import Request
from testbed.kernel.netlink_codec import message, split_attributes
from testbed.kernel.rtnl import RouteSocket
from tests.kernel.in_netns import in_new_network, run, show

# What iproute2 6.1.0 sends (seen with strace) as TCA_OPTIONS for
#   netem limit 500 delay 20ms 5ms 25% loss 1.5% 10% duplicate 0.5% 5% reorder 25% 50%
#   corrupt 0.1% 2% rate 100mbit
TC_NETEM = bytes.fromhex(
    "b4c40400 f4010000 3d0ad703 01000000 14ae4701 2d310100"
    "10000100 00000040 9a999919 cdcccc0c"
    "0c000300 00000040 00000080"
    "0c000400 37894100 52b81e05"
    "14000600 20bcbe00 00000000 00000000 00000000"
)


def _options(request: Request) -> bytes:
    return split_attributes(request.body, 20)[2]


def test_netem_is_encoded_as_tc_does_and_exact_besides() -> None:
    request = tc.netem(
        1,
        delay=0.020,
        jitter=0.005,
        delay_correlation=0.25,
        loss=0.015,
        loss_correlation=0.10,
        duplicate=0.005,
        duplicate_correlation=0.05,
        reorder=0.25,
        reorder_correlation=0.5,
        corrupt=0.001,
        corrupt_correlation=0.02,
        rate=100_000_000,
        limit=500,
    )
    ours = _options(request)
    assert ours[:24] == TC_NETEM[:24]
    mine = split_attributes(ours, 24)
    assert mine.pop(10) == struct.pack("=q", 20_000_000)  # TCA_NETEM_LATENCY64, ns
    assert mine.pop(11) == struct.pack("=q", 5_000_000)  # TCA_NETEM_JITTER64, ns
    assert mine == split_attributes(TC_NETEM, 24)


def test_netem_reads_the_same_to_another_decoder() -> None:
    request = tc.netem(7, delay=0.1, loss=0.5, limit=77, rate=8_000_000, number=tc.handle(1))
    decoded = tcmsg(message(request.kind, request.flags, 1, request.body))
    decoded.decode()
    assert (decoded["index"], decoded["handle"], decoded["parent"]) == (7, 0x10000, tc.ROOT)
    assert decoded.get_attr("TCA_KIND") == "netem"
    options = decoded.get_attr("TCA_OPTIONS")
    assert options["limit"] == 77
    assert options["loss"] == 0x80000000
    assert options["delay"] == 100_000_000 // 64
    assert options.get_attr("TCA_NETEM_RATE")["rate"] == 1_000_000


def test_a_rate_beyond_32_bits_uses_the_wide_field() -> None:
    found = split_attributes(_options(tc.netem(1, rate=100_000_000_000)), 24)
    assert found[8] == struct.pack("=Q", 12_500_000_000)
    assert found[6][:4] == b"\xff" * 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"loss": 1.1}, "not a probability"),
        ({"loss": -0.1}, "not a probability"),
        ({"reorder": 0.5}, "needs a delay"),
        ({"jitter": 0.5, "delay": 0.1}, "longer than the delay"),
        ({"rate": 7}, "too low"),
    ],
)
def test_impossible_netem_values_are_refused(arguments: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tc.netem(1, **arguments)  # type: ignore[arg-type]  # floats for the int-typed rate


def test_a_bucket_too_large_for_the_kernels_clock_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        tc.tbf(1, rate=8, burst=1_000_000)


@pytest.mark.needs_root
def test_asking_for_netem_works_or_says_what_is_missing() -> None:
    def work() -> tuple[str, bool, bool, Any]:
        with RouteSocket("node r1") as kernel:
            kernel.run(links.veth(links.VethEnd("a", 10), links.VethEnd("b", 11)))
            try:
                kernel.run(tc.netem(10, delay=0.05).at("home on link access"))
            except KernelError as error:
                return str(error), isinstance(error, MissingFeatureError), False, None
            return "", False, True, show("tc", "-j", "qdisc", "show", "dev", "a")

    text, missing, works, shown = in_new_network(work)
    if works:
        assert shown[0]["kind"] == "netem"
        assert shown[0]["options"]["delay"]["delay"] == 0.05
    else:
        assert missing
        assert text.startswith("home on link access: could not put netem on interface number 10")
        assert "hint: it needs netem" in text
        assert "sch_netem" in text


def _qdiscs(*requests: Request) -> tuple[Any, Any, str]:
    def work() -> tuple[Any, Any, str]:
        with RouteSocket() as kernel:
            kernel.run(links.veth(links.VethEnd("a", 10), links.VethEnd("b", 11), up=True))
            kernel.run(*requests)
            listed = show("tc", "-j", "-s", "qdisc", "show", "dev", "a")
            return listed, kernel.qdiscs(), run("tc", "class", "show", "dev", "a")

    return in_new_network(work)


@pytest.mark.needs_root
def test_a_token_bucket_reads_back() -> None:
    shown, ours, _ = _qdiscs(tc.tbf(10, rate=10_000_000, burst=4000, limit=30_000))
    (judge,) = shown
    assert judge["kind"] == "tbf"
    assert judge["options"]["rate"] == 1_250_000
    assert abs(judge["options"]["burst"] - 4000) <= 1
    # tc shows the limit as the time its bytes beyond the bucket take, in microseconds
    assert judge["options"]["lat"] == pytest.approx(26_000 * 8 / 10, rel=0.01)
    (mine,) = [qdisc for qdisc in ours if qdisc.link == 10]
    assert (mine.kind, mine.handle >> 16) == ("tbf", int(judge["handle"].rstrip(":"), 16))


@pytest.mark.needs_root
def test_a_fast_token_bucket_uses_the_wide_field() -> None:
    shown, _, _ = _qdiscs(tc.tbf(10, rate=80_000_000_000))
    assert shown[0]["options"]["rate"] == 10_000_000_000


@pytest.mark.needs_root
def test_a_token_bucket_is_replaced_and_deleted() -> None:
    shown, _, _ = _qdiscs(
        tc.tbf(10, rate=10_000_000, number=tc.handle(1)),
        tc.tbf(10, rate=20_000_000, number=tc.handle(1), replace=True),
    )
    assert [q["options"]["rate"] for q in shown] == [2_500_000]
    shown, _, _ = _qdiscs(tc.tbf(10, rate=10_000_000), tc.delete_qdisc(10))
    assert [q["kind"] for q in shown] == ["noqueue"]


@pytest.mark.needs_root
def test_htb_and_its_classes_read_back() -> None:
    shown, _, classes = _qdiscs(
        tc.htb(10, number=tc.handle(1), default_class=0x10),
        tc.htb_class(10, number=tc.handle(1, 1), parent=tc.handle(1), rate=50_000_000),
        tc.htb_class(
            10,
            number=tc.handle(1, 0x10),
            parent=tc.handle(1, 1),
            rate=1_000_000,
            ceiling=50_000_000,
            burst=3000,
            priority=3,
        ),
    )
    assert shown[0]["kind"] == "htb"
    assert shown[0]["options"]["default"] == "0x10"
    leaf = next(line for line in classes.splitlines() if "1:10 " in line)
    assert "parent 1:1" in leaf
    assert "prio 3" in leaf
    assert "rate 1Mbit ceil 50Mbit" in leaf
    assert "burst 3000b" in leaf


@pytest.mark.needs_root
@pytest.mark.parametrize(("make", "kind"), [(tc.ingress, "ingress"), (tc.clsact, "clsact")])
def test_the_hooks_read_back(make: Any, kind: str) -> None:
    shown, _, _ = _qdiscs(make(10))
    assert kind in [qdisc["kind"] for qdisc in shown]
    shown, _, _ = _qdiscs(make(10), tc.delete_qdisc(10, parent=tc.INGRESS))
    assert kind not in [qdisc["kind"] for qdisc in shown]


@pytest.mark.needs_root
def test_the_counters_are_those_tc_shows() -> None:
    """A bucket too small for any frame drops everything; both readers count the same."""

    def work() -> tuple[Any, Any]:
        # Nothing but the test is to send.
        Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        with RouteSocket() as kernel:
            kernel.run(
                links.veth(links.VethEnd("a", 10), links.VethEnd("b", 11), up=True),
                links.change(11, up=True),
            )
            kernel.settle((10, 11))
            kernel.run(tc.tbf(10, rate=1_000_000, burst=20, limit=20))
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
                raw.bind(("a", 0x88B5))
                for _ in range(5):
                    try:
                        raw.send(b"\xff" * 6 + bytes(6) + b"\x88\xb5" + bytes(100))
                    except OSError as error:  # ENOBUFS tells of the drop
                        assert error.errno == errno.ENOBUFS
            return kernel.qdiscs(), show("tc", "-j", "-s", "qdisc", "show", "dev", "a")

    ours, theirs = in_new_network(work)
    (mine,) = [qdisc for qdisc in ours if qdisc.link == 10]
    (judge,) = theirs
    assert judge["drops"] == 5
    assert (mine.dropped, mine.sent_bytes, mine.sent_packets, mine.overlimits) == (
        judge["drops"],
        judge["bytes"],
        judge["packets"],
        judge["overlimits"],
    )

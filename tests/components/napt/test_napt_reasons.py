"""Every drop reason is documented, and there is a packet for each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import Raw

from testbed.components.napt.engine import Napt
from testbed.components.napt.policy import Filtering, Quota
from testbed.components.napt.reasons import DropReason
from testbed.components.napt.translation import Translation
from testbed.events import Drop
from tests.components.napt.helpers import (
    OTHER,
    OUTSIDE,
    SERVER,
    A,
    B,
    error,
    make,
    ping,
    tcp,
    udp,
)

Provoke = Callable[[], tuple[Napt, Translation]]


def _mapped() -> tuple[Napt, bytes]:
    """A NAPT with one UDP mapping, and the packet that made it as it went out."""
    napt = make()
    return napt, napt.outbound(udp(A, 1, SERVER, 80), 0.0).to_outside[0].packet


def _out(packet: bytes, napt: Napt | None = None) -> tuple[Napt, Translation]:
    napt = napt or make()
    return napt, napt.outbound(packet, 0.0)


def _in(packet: bytes, napt: Napt | None = None) -> tuple[Napt, Translation]:
    napt = napt or make()
    return napt, napt.inbound(packet, 0.0)


def _after(packets: list[bytes], napt: Napt) -> tuple[Napt, Translation]:
    for packet in packets[:-1]:
        napt.outbound(packet, 0.0)
    return _out(packets[-1], napt)


def _error_with_damage() -> tuple[Napt, Translation]:
    napt, went_out = _mapped()
    damaged = bytearray(error(SERVER, OUTSIDE, went_out))
    damaged[-1] ^= 0xFF
    return _in(bytes(damaged), napt)


def _quote_with_damage() -> tuple[Napt, Translation]:
    napt, went_out = _mapped()
    quote = went_out[:8] + b"\x01" + went_out[9:]  # another TTL, the old header checksum
    return _in(error(SERVER, OUTSIDE, quote), napt)


def _late() -> tuple[Napt, Translation]:
    napt, _ = _out(bytes(IP(src=A, dst=SERVER, frag=9, proto=17) / Raw(bytes(8))))
    return napt, napt.handle_timer(1e3)


def _crowd() -> tuple[Napt, Translation]:
    napt = make()
    for _ in range(64):
        napt.outbound(bytes(IP(src=A, dst=SERVER, frag=9, proto=17) / Raw(bytes(8))), 0.0)
    return _out(bytes(IP(src=A, dst=SERVER, frag=9, proto=17) / Raw(bytes(8))), napt)


def _followed() -> tuple[Napt, Translation]:
    napt = make()
    first, second, *_ = (
        bytes(f) for f in IP(udp(SERVER, 1, OUTSIDE, 5000, bytes(90))).fragment(48)
    )
    napt.inbound(first, 0.0)
    return _in(second, napt)


def _filtered() -> tuple[Napt, Translation]:
    napt = make(filtering=Filtering.ADDRESS_DEPENDENT)
    napt.outbound(udp(A, 1, SERVER, 80), 0.0)
    return _in(udp(OTHER, 80, OUTSIDE, 5000), napt)


PROVOKED: dict[DropReason, list[Provoke]] = {
    DropReason.MALFORMED: [
        lambda: _out(b"\x45"),
        lambda: _in(bytes(IP(src=SERVER, dst=OUTSIDE, proto=17) / Raw(b"abc"))),
        lambda: _in(bytes(IP(src=SERVER, dst=OUTSIDE) / UDP(len=99))),
        lambda: _in(error(SERVER, OUTSIDE, b"short")),
    ],
    DropReason.BAD_ADDRESS: [
        lambda: _out(udp(A, 1, "224.0.0.1", 2)),
        lambda: _out(udp("0.0.0.0", 68, SERVER, 67)),
        lambda: _in(udp("127.0.0.1", 1, OUTSIDE, 5000)),
        lambda: _in(error("240.0.0.1", OUTSIDE, udp(OUTSIDE, 5000, SERVER, 1))),
    ],
    DropReason.PORTLESS_PROTOCOL: [
        lambda: _out(bytes(IP(src=A, dst=SERVER, proto=50) / Raw(b"esp"))),
        lambda: _in(bytes(IP(src=SERVER, dst=OUTSIDE, proto=47) / Raw(b"gre"))),
        lambda: _out(bytes(IP(src=A, dst=SERVER, proto=47, frag=7) / Raw(b"gre"))),
    ],
    DropReason.PORT_OUTSIDE_SET: [
        lambda: _in(udp(SERVER, 1, OUTSIDE, 500)),
        lambda: _in(udp(SERVER, 1, OTHER, 5000)),
        lambda: _in(ping(SERVER, OUTSIDE, 7)),
        lambda: _in(error(SERVER, OUTSIDE, udp(OUTSIDE, 500, SERVER, 1))),
    ],
    DropReason.NO_MAPPING: [
        lambda: _in(udp(SERVER, 1, OUTSIDE, 5000)),
        lambda: _in(ping(SERVER, OUTSIDE, 5000, kind=0)),
        lambda: _out(udp(A, 1, OUTSIDE, 5000)),
    ],
    DropReason.FILTERED: [_filtered],
    DropReason.TCP_NO_SESSION: [lambda: _out(tcp(A, 1, SERVER, 2, "A"))],
    DropReason.PORTS_EXHAUSTED: [
        lambda: _after([udp(A, n, SERVER, 1) for n in range(1, 10)], make()),
    ],
    DropReason.MAPPING_QUOTA: [
        lambda: _after([udp(A, n, SERVER, 1) for n in (1, 2)], make(quota=Quota(mappings=1))),
    ],
    DropReason.SESSION_QUOTA: [
        lambda: _after([udp(A, 1, SERVER, n) for n in (1, 2)], make(quota=Quota(sessions=1))),
    ],
    DropReason.ICMP_UNSOLICITED_QUERY: [
        lambda: _in(ping(SERVER, OUTSIDE, 5000)),
        lambda: _out(ping(A, SERVER, 1, kind=0)),
    ],
    DropReason.ICMP_HAIRPIN_QUERY: [lambda: _out(ping(A, OUTSIDE, 1))],
    DropReason.ICMP_ERROR_NO_MAPPING: [
        lambda: _in(error(SERVER, OUTSIDE, udp(OUTSIDE, 5000, SERVER, 1))),
        lambda: _out(error(A, SERVER, udp(SERVER, 1, A, 1))),
        lambda: _out(error(A, OUTSIDE, udp(OUTSIDE, 5000, A, 1))),
        lambda: _in(error(SERVER, OUTSIDE, udp(SERVER, 5000, OUTSIDE, 1))),  # not to its sender
        lambda: _in(error(SERVER, OUTSIDE, udp(OUTSIDE, 5000, SERVER, 1, frag=3))),
        lambda: _in(error(SERVER, OUTSIDE, error(OUTSIDE, SERVER, b""))),
    ],
    DropReason.ICMP_CHECKSUM: [_error_with_damage, _quote_with_damage],
    DropReason.ICMP_TYPE: [
        lambda: _out(bytes(IP(src=A, dst=SERVER) / ICMP(type=10))),
        lambda: _in(bytes(IP(src=SERVER, dst=OUTSIDE) / ICMP(type=9))),
        lambda: _in(error(SERVER, OUTSIDE, udp(OUTSIDE, 5000, SERVER, 1), 5, 0)),
        lambda: _in(error(SERVER, OUTSIDE, udp(OUTSIDE, 5000, SERVER, 1), flags="MF")),
    ],
    DropReason.TTL_EXCEEDED: [lambda: _out(udp(B, 1, OUTSIDE, 5000, ttl=1), _mapped()[0])],
    DropReason.FRAGMENT_TINY: [
        lambda: _out(bytes(IP(src=A, dst=SERVER, proto=6, flags="MF") / Raw(bytes(16)))),
        lambda: _out(bytes(IP(src=A, dst=SERVER, proto=6, frag=1) / Raw(bytes(16)))),
    ],
    DropReason.FRAGMENT_OF_DROPPED: [_followed],
    DropReason.FRAGMENT_TIMEOUT: [_late],
    DropReason.FRAGMENT_OVERFLOW: [_crowd],
}


def test_there_is_a_packet_for_every_reason() -> None:
    assert set(PROVOKED) == set(DropReason)


@pytest.mark.parametrize(
    ("reason", "provoke"),
    [(reason, provoke) for reason, all_of_it in PROVOKED.items() for provoke in all_of_it],
    ids=lambda value: value.value if isinstance(value, DropReason) else "",
)
def test_reason(reason: DropReason, provoke: Provoke) -> None:
    napt, result = provoke()
    (drop,) = (event for event in result.events if isinstance(event, Drop))
    assert drop.reason == reason.value
    assert drop.clause == reason.clause
    assert drop.packet is not None
    assert drop.packet.key
    assert drop.place in {"napt outbound", "napt inbound", "napt fragments"}
    assert napt.drops.counts[reason.value] == 1
    assert result.to_outside == ()


def test_every_reason_is_explained() -> None:
    assert len({reason.value for reason in DropReason}) == len(DropReason)
    for reason in DropReason:
        assert reason.clause.startswith("RFC ")
        assert reason.meaning.endswith(".")

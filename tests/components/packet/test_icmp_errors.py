"""ICMP errors we build, read back by scapy; and when none may be sent."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6
from scapy.packet import Raw

from testbed.components.packet import icmp
from testbed.components.packet.ipv4 import parse_ipv4
from testbed.components.packet.ipv6 import parse_ipv6
from testbed.components.packet.transport import read_ports

ROUTER = 0xC0A80101


@pytest.mark.parametrize("size", [0, 3, 520, 521, 1400])
def test_icmpv4_error_is_valid_and_quotes_as_much_as_fits(size: int) -> None:
    original = bytes(
        IP(src="192.168.1.5", dst="203.0.113.1", flags="DF") / UDP() / Raw(b"q" * size)
    )
    header = parse_ipv4(original)
    error = icmp.build_icmpv4_error(
        original,
        source=ROUTER,
        destination=header.source,
        icmp_type=icmp.UNREACHABLE,
        code=icmp.FRAGMENTATION_NEEDED,
        rest=1460,
    )
    read = IP(error)
    assert (read.src, read.dst, read.tos) == ("192.168.1.1", "192.168.1.5", 0xC0)
    assert (read[ICMP].type, read[ICMP].code, read[ICMP].nexthopmtu) == (3, 4, 1460)
    assert error[28:] == original[: 576 - 28]
    checksum = read[ICMP].chksum
    del read[ICMP].chksum
    assert IP(bytes(read))[ICMP].chksum == checksum
    quoted = icmp.quoted_ipv4(error, 20, len(error))
    assert quoted.header.source == header.source
    assert read_ports(error, quoted.transport_at, quoted.end) == (53, 53)


def test_icmpv6_error_is_valid() -> None:
    original = bytes(IPv6(src="2001:db8::5", dst="2001:db8:1::1") / UDP() / Raw(b"q" * 1400))
    header = parse_ipv6(original)
    error = icmp.build_icmpv6_error(
        original,
        source=header.destination,
        destination=header.source,
        icmp_type=icmp.V6_PACKET_TOO_BIG,
        code=0,
        rest=1400,
    )
    assert len(error) == 1280
    read = IPv6(error)
    assert read[ICMPv6PacketTooBig].mtu == 1400
    checksum = read[ICMPv6PacketTooBig].cksum
    del read[ICMPv6PacketTooBig].cksum
    assert IPv6(bytes(read))[ICMPv6PacketTooBig].cksum == checksum
    assert icmp.quoted_ipv6(error, 40, len(error)).header.source == header.source


def _answerable(packet: IP) -> bool:
    data = bytes(packet)
    return icmp.may_answer_ipv4(data, parse_ipv4(data))


def test_when_an_icmpv4_error_may_be_sent() -> None:
    to = {"src": "192.168.1.5", "dst": "203.0.113.1"}
    assert _answerable(IP(**to) / TCP())
    assert _answerable(IP(**to) / ICMP(type=8))
    assert _answerable(IP(**to, flags="MF") / UDP())
    assert not _answerable(IP(**to) / ICMP(type=11))
    assert not _answerable(IP(**to) / ICMP(type=5))
    assert not _answerable(IP(**to, frag=1) / UDP())
    assert not _answerable(IP(src="192.168.1.5", dst="224.0.0.1") / UDP())
    assert not _answerable(IP(src="192.168.1.5", dst="255.255.255.255") / UDP())
    for source in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"):
        assert not _answerable(IP(src=source, dst="203.0.113.1") / UDP())
    assert not _answerable(IP(**to, proto=1))


def test_when_an_icmpv6_error_may_be_sent() -> None:
    def answerable(packet: IPv6, *, too_big: bool = False) -> bool:
        data = bytes(packet)
        return icmp.may_answer_ipv6(data, parse_ipv6(data), too_big=too_big)

    to = {"src": "2001:db8::5", "dst": "2001:db8::1"}
    assert answerable(IPv6(**to) / UDP())
    assert answerable(IPv6(**to) / ICMPv6EchoRequest())
    assert not answerable(IPv6(**to) / ICMPv6PacketTooBig() / IPv6())
    assert not answerable(IPv6(src="::", dst="2001:db8::1") / UDP())
    assert not answerable(IPv6(src="2001:db8::5", dst="ff02::1") / UDP())
    assert answerable(IPv6(src="2001:db8::5", dst="ff02::1") / UDP(), too_big=True)

"""The checksum functions against scapy's and against RFC 1071 done the long way."""

from hypothesis import assume, given
from hypothesis import strategies as st
from scapy.utils import checksum as scapy_checksum

from testbed.components.packet.checksum import (
    adjust,
    adjust_udp,
    checksum,
    difference,
    is_valid,
    ones_complement_sum,
    pseudo_header_sum,
)

words = st.integers(0, 0xFFFF)


def rfc1071(data: bytes) -> int:
    """Section 4.1 of the RFC: add word by word, then fold the carries."""
    total = 0
    padded = data + bytes(len(data) % 2)
    for at in range(0, len(padded), 2):
        total += padded[at] << 8 | padded[at + 1]
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(st.binary(max_size=200))
def test_agrees_with_the_long_way_and_with_scapy(data: bytes) -> None:
    assert ones_complement_sum(data) == rfc1071(data)
    assert checksum(data) == scapy_checksum(data)


def test_rfc1071_example() -> None:
    assert ones_complement_sum(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2


def test_rfc1624_example() -> None:
    # Section 4: a field goes from 0x5555 to 0x3285; 0xDD2F must become 0x0000, not 0xFFFF.
    assert adjust(0xDD2F, difference(0x5555, 0x3285)) == 0x0000


@given(st.binary(min_size=2, max_size=60).filter(lambda b: len(b) % 2 == 0), st.data())
def test_adjust_equals_computing_anew(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data) // 2 - 1)) * 2
    new = draw.draw(st.binary(min_size=2, max_size=2))
    changed = data[:at] + new + data[at + 2 :]
    assume(any(data) and any(changed))  # an all-zero message has two checksums; packets are not
    delta = difference(int.from_bytes(data[at : at + 2], "big"), int.from_bytes(new, "big"))
    assert adjust(checksum(data), delta) == checksum(changed)


@given(st.binary(min_size=4, max_size=60).filter(lambda b: len(b) % 2 == 0 and any(b)))
def test_a_message_with_its_checksum_is_valid_and_one_flipped_bit_is_not(data: bytes) -> None:
    whole = data + checksum(data).to_bytes(2, "big")
    assert is_valid(whole)
    assert not is_valid(bytes([whole[0] ^ 1]) + whole[1:])


@given(words, words)
def test_udp_never_gets_zero_by_adjusting_and_keeps_no_checksum(old: int, delta: int) -> None:
    assert adjust_udp(0, delta) == 0
    if old:
        new = adjust_udp(old, delta)
        assert new != 0
        assert new % 0xFFFF == adjust(old, delta) % 0xFFFF


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1), words)
def test_pseudo_header_sum_is_the_sum_of_its_bytes(a: int, b: int, length: int) -> None:
    laid_out = a.to_bytes(16, "big") + b.to_bytes(16, "big") + (length << 32 | 6).to_bytes(8, "big")
    assert pseudo_header_sum(a, b, 6, length) == rfc1071(laid_out) % 0xFFFF

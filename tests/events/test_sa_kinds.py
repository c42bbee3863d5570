"""SPIs check themselves; who and why are words of a fixed list, also when read from JSON."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.events import (
    ChildSaDeleted,
    EspSpis,
    IkeSaEstablished,
    IkeSpis,
    Record,
    decode,
    esp_spi,
    ike_spi,
    json_schema,
    to_json,
)
from testbed.events.codec import EventFormatError
from tests.events.samples import esp_spis, sample

_VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def _refused(plain: dict[str, Any], text: str) -> None:
    with pytest.raises(EventFormatError, match=text):
        decode(json.dumps(plain))
    assert not _VALIDATOR.is_valid(plain)


@pytest.mark.parametrize(
    ("value", "spi"),
    [(0xC0FFEE, "00c0ffee"), ("0xC0FFEE", "00c0ffee"), ("c0ffee01", "c0ffee01"), ("5f_i", None)],
)
def test_esp_spis_in_any_spelling(value: int | str, spi: str | None) -> None:
    assert esp_spi(value) == (spi or "0000005f")


@pytest.mark.parametrize("value", ["5c8b8f4a3b1c0d11_i", "0x5C8B8F4A3B1C0D11", 0x5C8B8F4A3B1C0D11])
def test_ike_spis_in_any_spelling(value: int | str) -> None:
    assert ike_spi(value) == "5c8b8f4a3b1c0d11"


@pytest.mark.parametrize("value", ["", "no", -1, 2**64, "_i"])
def test_what_is_no_spi_is_refused(value: int | str) -> None:
    with pytest.raises(ValueError, match=r"SPI|literal"):
        ike_spi(value)


@pytest.mark.parametrize("spi", ["c0ffee", "C0FFEE01", "0xc0ffee", "c0ffee01\n", "c0ffee011", ""])
def test_a_pair_takes_only_the_canonical_spelling(spi: str) -> None:
    with pytest.raises(ValueError, match="no SPI"):
        EspSpis(spi, "c0ffee01")
    plain = to_json(Record(1, "service", sample(ChildSaDeleted)))
    plain["data"]["spis"]["outbound"] = spi
    _refused(plain, "no SPI")


def test_an_unknown_word_is_refused_with_the_known_ones() -> None:
    plain = to_json(Record(1, "service", sample(IkeSaEstablished)))
    plain["data"]["by"] = "me"
    _refused(plain, "one of local, peer is expected, not 'me'")


@given(esp_spis())
def test_the_peer_sees_the_pair_the_other_way_round(pair: EspSpis) -> None:
    assert pair.of_peer().of_peer() == pair
    assert (pair.of_peer().inbound, pair.of_peer().outbound) == (pair.outbound, pair.inbound)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_every_number_of_the_right_size_is_an_spi(esp: int, ike: int) -> None:
    assert int(EspSpis(esp_spi(esp), esp_spi(0)).inbound, 16) == esp
    assert int(IkeSpis(ike_spi(ike), ike_spi(0)).initiator, 16) == ike

"""Events survive the way to JSON and back, fit the published schema, and bad lines are refused."""

from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.events import Record, decode, encode, json_schema, to_json
from testbed.events.codec import EventFormatError
from tests.events.samples import events

_RECORDS = st.builds(
    Record,
    time_ns=st.integers(0, 2**63 - 1),
    origin=st.sampled_from(["harness", "service", "capture", "test"]),
    event=events(),
    node=st.none() | st.text(),
    service=st.none() | st.text(),
)
_VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def _same(record: Record, other: Record) -> bool:
    return repr(record) == repr(other)  # equal, and NaN like NaN


@given(_RECORDS)
def test_round_trip(record: Record) -> None:
    line = encode(record)
    assert "\n" not in line
    assert _same(decode(line), record)


@given(_RECORDS)
def test_every_event_fits_the_published_schema(record: Record) -> None:
    _VALIDATOR.validate(to_json(record))


@given(_RECORDS, st.data())
def test_schema_and_decoder_agree_on_damaged_events(record: Record, data: st.DataObject) -> None:
    """Take a field away or add one: both must refuse, or both accept (an optional field)."""
    plain = json.loads(json.dumps(to_json(record), allow_nan=True))
    where = data.draw(st.sampled_from([plain, plain["data"]]))
    if where and data.draw(st.booleans()):
        del where[data.draw(st.sampled_from(sorted(where)))]
    else:
        where["surprise"] = 1
    try:
        decode(json.dumps(plain))
        accepted = True
    except EventFormatError:
        accepted = False
    assert accepted == _VALIDATOR.is_valid(plain)


@given(st.binary() | st.text())
def test_garbage_is_refused_not_crashed_on(line: bytes | str) -> None:
    with pytest.raises(EventFormatError):
        decode(line)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_refused_not_crashed_on(data: object) -> None:
    plain = {"v": 1, "time_ns": 0, "origin": "test", "kind": "drop", "data": data}
    with pytest.raises(EventFormatError):
        decode(json.dumps(plain))

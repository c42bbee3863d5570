"""The token bucket against the definition: never more than burst + rate * time."""

from hypothesis import given
from hypothesis import strategies as st

from testbed.components.packet.rate_limit import TokenBucket


@given(st.lists(st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0, 10.0]), max_size=60))
def test_no_window_gets_more_than_its_share(waits: list[float]) -> None:
    bucket = TokenBucket(per_second=2, burst=3)
    now, taken = 0.0, []
    for wait in waits:
        now += wait
        if bucket.take(now):
            taken.append(now)
    for i, start in enumerate(taken):
        for j, end in enumerate(taken[i:], 1):
            assert j <= 3 + 2 * (end - start)


def test_it_fills_again_but_not_beyond_the_burst() -> None:
    bucket = TokenBucket(per_second=1, burst=2)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    assert not bucket.take(0.5)
    assert bucket.take(1.0)
    assert [bucket.take(100.0) for _ in range(3)] == [True, True, False]


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    bucket = TokenBucket(per_second=1, burst=1)
    assert bucket.take(10.0)
    assert not bucket.take(5.0)
    assert not bucket.take(10.5)
    assert bucket.take(11.0)

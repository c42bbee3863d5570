"""MAP-E arithmetic: finding the rule among all that ship, and everything a CE has to know."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv6Network
from typing import TypeVar

from bench.figures import Sample, digits
from bench.section import Section, Target, sample_json, with_spread
from testbed.components.mape.calc import calculate, parse_prefix
from testbed.components.mape.ce_address import packed_ce_address, psid_for
from testbed.components.mape.rules import MapRule
from testbed.components.mape.tables import RuleTable, all_shipped, shipped_table

_LONGEST = 20.0  # microseconds
_TURNS = 20
_SEED = 7597

_Item = TypeVar("_Item")


def run(rounds: int) -> Section:
    """Measure over one delegated prefix of each shipped rule."""
    table = all_shipped()
    chance = random.Random(_SEED)
    prefixes = [_delegated(rule, chance) for rule in table]
    texts = [str(prefix) for prefix in prefixes]
    iid = {rule.name: shipped_table(rule.name).iid for rule in table}

    def parameters(prefix: IPv6Network) -> None:
        rule = table.for_prefix(prefix)
        calculate(prefix, rule, iid=iid[rule.name])

    pairs = [_pair(table, prefix) for prefix in prefixes]

    def towards_ce(pair: tuple[int, int]) -> None:
        address, port = pair
        rule = table.for_ipv4_bits(address, port)
        assert rule is not None
        psid = psid_for(rule, port)
        assert psid is not None
        packed_ce_address(rule, address, psid, iid[rule.name])

    samples = {
        "the rule of a delegated prefix": _timed(table.for_prefix, prefixes, rounds),
        "rule and all of a CE's parameters": _timed(parameters, prefixes, rounds),
        "the same from text": _timed(lambda text: parameters(parse_prefix(text)), texts, rounds),
        "a CE's address from IPv4 address and port": _timed(towards_ce, pairs, rounds),
    }
    return judge(samples, len(table))


def judge(samples: dict[str, Sample], rules: int) -> Section:
    """The figures (microseconds) as a table and against the target; pure."""
    rows = [(what, with_spread(sample)) for what, sample in samples.items()]
    return Section(
        title=f"MAP-E arithmetic over all {rules} shipped rules",
        about=f"CPU time for one operation, mean over one delegated prefix of each of the {rules} "
        "rules in random order; median of the rounds (smallest-largest).",
        table=(("operation", "µs"), *rows),
        targets=tuple(
            Target(
                f"{what}: less than {_LONGEST:g} µs",
                f"{digits(sample.median)} µs",
                sample.median < _LONGEST,
            )
            for what, sample in samples.items()
        ),
        data={"microseconds": {what: sample_json(sample) for what, sample in samples.items()}},
    )


def _delegated(rule: MapRule, chance: random.Random) -> IPv6Network:
    ea_bits = chance.getrandbits(rule.ea_len) if rule.ea_len else 0
    return IPv6Network((rule.ipv6_bits | ea_bits << (128 - rule.end_user_len), rule.end_user_len))


def _pair(table: RuleTable, prefix: IPv6Network) -> tuple[int, int]:
    """An IPv4 address and one of the ports of the CE with this prefix."""
    parameters = calculate(prefix, table.for_prefix(prefix))
    return int(parameters.ipv4), parameters.ports.ranges()[0][0]


def _timed(work: Callable[[_Item], object], items: Sequence[_Item], rounds: int) -> Sample:
    """Microseconds of CPU for one item."""
    order = list(items)
    random.Random(_SEED).shuffle(order)
    for item in order:
        work(item)  # so that no round pays for what is made once
    values = []
    for _ in range(rounds):
        begin = time.process_time_ns()
        for _ in range(_TURNS):
            for item in order:
                work(item)
        values.append((time.process_time_ns() - begin) / 1000 / _TURNS / len(order))
    return Sample.of(values)

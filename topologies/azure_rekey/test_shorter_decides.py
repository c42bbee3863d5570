"""The shorter of the two ends decides: a grid of lifetimes, a virtual day of each."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

from testbed.evidence.sa import sa_history
from testbed.evidence.sa.history import Sort
from testbed.scenarios.evidence import Evidence
from topologies.azure_rekey.ends import AZURE_2016, AZURE_2017, RTX_DEFAULT, Lifetimes
from topologies.azure_rekey.experiment import SLACK_S, counts
from topologies.azure_rekey.grid import grid_ends, grid_topology
from topologies.azure_rekey.intervals import predict
from topologies.azure_rekey.needed import MARKS
from topologies.azure_rekey.run import BringUp

pytestmark = MARKS

RTX = (Lifetimes(child=7_200, ike=14_400), RTX_DEFAULT, Lifetimes(child=129_600, ike=129_600))
AZURE = (AZURE_2016, AZURE_2017, Lifetimes(child=86_400, ike=43_200))
HOURS = 24


def test_the_earlier_moment_wins_everywhere(fresh_lab: BringUp, evidence: Evidence) -> None:
    """Nine tunnels, 24 hours: every interval is the smaller of the two ends' moments."""
    pairs = list(product(RTX, AZURE))
    lab = fresh_lab(grid_topology(pairs))
    lab.clock.sleep(timedelta(hours=HOURS))
    records = lab.events()
    rows, wrong = [], []
    for number, pair in enumerate(pairs):
        ours = {f"rtx-{number}", f"azure-{number}"}
        history = sa_history(record for record in records if record.node in ours)
        wrong += list(history.disagreements())
        rtx_end, azure_end = grid_ends(number, pair)
        sorts: tuple[Sort, ...] = ("CHILD", "IKE")
        for sort in sorts:
            own, other = (
                end.lifetime if sort == "IKE" else end.children[0].lifetime
                for end in (rtx_end, azure_end)
            )
            expected = predict(own, other)
            seen = [sa for sa in history.of_sort(sort) if sa.rekey_s is not None]
            first = {(sa.replaced_by or "?").partition("-")[0] for sa in seen}
            ages = [sa.rekey_s for sa in seen if sa.rekey_s is not None]
            met = all(expected.agrees(age, SLACK_S) for age in ages) and first <= {expected.first}
            if not met or len(ages) not in counts(expected, HOURS * 3600):
                wrong.append(f"{sort} {pair}: {expected}, but {ages} by {first}")
            lifetimes = [str(getattr(one, sort.lower())) for one in pair]
            rows.append(
                (
                    sort,
                    *lifetimes,
                    f"{expected.earliest_s} to {expected.latest_s}, {expected.first}",
                    f"{min(ages):.1f} to {max(ages):.1f}" if ages else "not in a day",
                    ", ".join(sorted(first)),
                    str(len(ages)),
                )
            )
    evidence.table(
        "Intervals between rekeys, s",
        ("SA", "RTX lifetime", "Azure lifetime", "by the formula", "seen", "by", "rekeys"),
        rows,
    )
    assert wrong == []

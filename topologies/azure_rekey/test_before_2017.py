"""The history before: Azure's documented defaults of mid-2016 against the RTX's.

The blog of seed 004 had found half a year earlier that the tunnel broke whenever its SAs were
renewed, and no longer so in July 2017 with the very same router and settings.  Between the two,
Azure's documented defaults changed: 10800/3600 s with PFS became 28800/27000 s without.
"""

from __future__ import annotations

import pytest

from testbed.events import ChildSaRekeyFailed
from testbed.evidence.sa import sa_evidence
from testbed.scenarios.evidence import Evidence
from topologies.azure_rekey.ends import AZURE_2016, RTX_DEFAULT, azure, rtx
from topologies.azure_rekey.experiment import require_predicted
from topologies.azure_rekey.needed import MARKS
from topologies.azure_rekey.run import BringUp, require_sound, run
from topologies.azure_rekey.topology import topology

pytestmark = MARKS

_TITLE = f"RTX {RTX_DEFAULT}, Azure in 2016 {AZURE_2016}"


@pytest.mark.parametrize("pfs", [False, True], ids=["without_pfs", "with_pfs_at_both_ends"])
def test_short_lifetimes_alone_do_no_harm(
    pfs: bool, fresh_lab: BringUp, evidence: Evidence
) -> None:
    """6 hours: Azure renews CHILD_SAs every 57 minutes, the RTX never gets to it; nothing lost."""
    hours = 6
    ends = rtx(RTX_DEFAULT, pfs=pfs), azure(AZURE_2016, pfs=pfs)
    lab = fresh_lab(topology(*ends))
    outcome = run(lab, hours, evidence)
    title = f"{_TITLE}, PFS at {'both ends' if pfs else 'neither end'}"
    evidence.add(*sa_evidence(lab.events(), title=title, router="rtx", tunnel=100))
    require_sound(outcome)
    require_predicted(outcome, *ends, hours)


def test_pfs_at_one_end_breaks_the_first_rekey(fresh_lab: BringUp, evidence: Evidence) -> None:
    """2 hours: Azure insists on PFS, the RTX offers none; the tunnel lives for one hour.

    The first CHILD_SA is made in IKE_AUTH, which has no key exchange of its own (RFC 7296 section
    1.2), so nobody sees the difference before the first rekey.  That this is what the blog met
    in 2016 is a guess: it fits what is known, and the lab shows that it does what the blog saw.
    """
    lab = fresh_lab(topology(rtx(RTX_DEFAULT), azure(AZURE_2016, pfs=True)))
    outcome = run(lab, 2, evidence)
    records = lab.events()
    evidence.add(
        *sa_evidence(records, title=f"{_TITLE}, PFS at Azure only", router="rtx", tunnel=100)
    )

    failed = [one for one in records if isinstance(one.event, ChildSaRekeyFailed)]
    assert failed, "the rekey is refused"
    assert {one.node for one in failed} == {"azure"}, "only Azure gets to ask for it"
    assert {getattr(one.event, "notify", "") for one in failed} == {"NO_PROPOSAL_CHOSEN"}
    first, *others = outcome.history.of_sort("CHILD")
    assert others == []
    assert (first.gone_by, first.why) == ("azure", "expired")
    assert first.life_s is not None
    assert abs(first.life_s - AZURE_2016.child) <= 2
    assert first.gone_ns is not None
    lost = outcome.lost_ns
    assert lost
    assert min(lost) >= first.gone_ns - 10**9, "until then every ping was answered"
    ping, trickle = outcome.streams
    assert max(probe.answered_ns for probe in ping.answered) <= first.gone_ns + 10**9
    assert ping.sent == len(ping.answered) + len(lost)
    assert trickle.sent == len(trickle.answered) + 1, "TCP waits for the answer"
    assert min(trickle.lost_ns) >= first.gone_ns - 10**9
    assert trickle.trouble is not None, "and gives up in the end"
    evidence.text("What was lost", f"{len(lost)} of {ping.sent} pings, all after the first hour")

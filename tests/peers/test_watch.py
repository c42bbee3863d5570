"""From charon's words to our events; the words are those of strongSwan 5.9.8."""

from __future__ import annotations

import pytest

from testbed.events import (
    ChildSaDeleted,
    ChildSaEstablished,
    ChildSaRekeyFailed,
    ChildSaRekeyStarted,
    ChildSaReplaced,
    Event,
    IkeSaDeleted,
    IkeSaEstablished,
    IkeSaRekeyFailed,
    IkeSaRekeyStarted,
    IkeSaReplaced,
)
from testbed.events.sa_kinds import Exchange, Who, Why
from testbed.peers.strongswan.log_lines import Fact, is_noise, read_line
from testbed.peers.strongswan.messages import Section
from testbed.peers.strongswan.watch import SaWatch
from tests.peers.story import ESP, IKE, NOW, child, child_rekey, ike, ike_rekey, lines, up

_CLOSING = (
    "closing CHILD_SA tunnel100{1} with SPIs c0000001_i (27720 bytes) c0000002_o (0 bytes)"
    " and TS 0.0.0.0/0 === 0.0.0.0/0"
)
_WHO = ("strongswan", "azure")


def _events(
    watch: SaWatch, texts: tuple[str, ...], *messages: tuple[int, str, Section]
) -> list[Event]:
    return [event for _, event in watch.take(lines(*texts), messages)]


def _watch(*, initiator: bool = True) -> SaWatch:
    watch = SaWatch("azure")
    watch.take([], up(initiator=initiator))
    return watch


def test_a_tunnel_comes_up() -> None:
    texts = (
        "[IKE] <rtx|1> initiating IKE_SA rtx[1] to 203.0.113.4",
        "[IKE] <rtx|1> establishing CHILD_SA tunnel100{1}",
        "[IKE] <rtx|1> maximum IKE_SA lifetime 28793s",
    )
    assert _events(SaWatch("azure"), texts, *up()) == [
        IkeSaEstablished(*_WHO, IKE[0], "local", "IKE_AUTH", 21612.0, 28793.0),
        ChildSaEstablished(*_WHO, ESP[0], "local", "IKE_AUTH", 20270.0, 27000.0, None, IKE[0]),
    ]


def test_who_answered_says_that_the_peer_asked() -> None:
    made = _events(SaWatch("azure"), (), *up(initiator=False))
    assert [getattr(event, "by", None) for event in made] == ["peer", "peer"]


def test_we_rekey_a_child_sa_and_delete_the_old_one() -> None:
    texts = (
        "[KNL] creating rekey job for CHILD_SA ESP/0xc0000002/203.0.113.4",
        "[IKE] <rtx|1> establishing CHILD_SA tunnel100{2} reqid 1",
        f"[IKE] <rtx|1> {_CLOSING}",
        "[IKE] <rtx|1> sending DELETE for ESP CHILD_SA with SPI c0000001",
        "[IKE] <rtx|1> received DELETE for ESP CHILD_SA with SPI c0000002",
        "[IKE] <rtx|1> CHILD_SA closed",
    )
    told = _watch().take(lines(*texts), [child_rekey()])
    assert [event for _, event in told] == [
        ChildSaRekeyStarted(*_WHO, ESP[0], "local"),
        ChildSaEstablished(
            *_WHO, ESP[1], "local", "CREATE_CHILD_SA", 20270.0, 27000.0, ESP[0], IKE[0]
        ),
        ChildSaReplaced(*_WHO, ESP[0], ESP[1], "local"),
        ChildSaDeleted(*_WHO, ESP[0], "local", "replaced", "INFORMATIONAL"),
    ]
    times = [time_ns for time_ns, _ in told]
    assert times == sorted(times)
    assert times[-1] >= NOW, "not before what it is told with"


def test_the_peer_rekeys_a_child_sa() -> None:
    texts = (
        "[IKE] <rtx|1> received DELETE for ESP CHILD_SA with SPI c0000002",
        f"[IKE] <rtx|1> {_CLOSING}",
        "[IKE] <rtx|1> sending DELETE for ESP CHILD_SA with SPI c0000001",
        "[IKE] <rtx|1> CHILD_SA closed",
    )
    established, replaced, deleted = _events(_watch(), texts, child_rekey())
    assert isinstance(established, ChildSaEstablished)
    assert established.by == "peer"
    assert replaced == ChildSaReplaced(*_WHO, ESP[0], ESP[1], "peer")
    assert deleted == ChildSaDeleted(*_WHO, ESP[0], "peer", "replaced", "INFORMATIONAL")


def test_we_rekey_the_ike_sa() -> None:
    texts = (
        "[IKE] <rtx|1> initiating IKE_SA rtx[2] to 203.0.113.4",
        "[IKE] <rtx|1> maximum IKE_SA lifetime 28784s",
        "[IKE] <rtx|1> deleting IKE_SA rtx[1] between 192.168.1.2[a]...203.0.113.4[b]",
        "[IKE] <rtx|1> sending DELETE for IKE_SA rtx[1]",
        "[IKE] <rtx|1> IKE_SA deleted",
    )
    assert _events(_watch(), texts, ike_rekey()) == [
        IkeSaRekeyStarted(*_WHO, IKE[0], "local"),
        IkeSaEstablished(*_WHO, IKE[1], "local", "CREATE_CHILD_SA", 21612.0, 28784.0, IKE[0]),
        IkeSaReplaced(*_WHO, IKE[0], IKE[1], "local"),
        IkeSaDeleted(*_WHO, IKE[0], "local", "replaced", "INFORMATIONAL"),
    ]


def test_the_peer_rekeys_the_ike_sa() -> None:
    texts = (
        "[IKE] <rtx|1> 203.0.113.4 is initiating an IKE_SA",
        "[IKE] <rtx|1> received DELETE for IKE_SA rtx[1]",
        "[IKE] <rtx|1> IKE_SA deleted",
    )
    started, established, _, deleted = _events(_watch(), texts, ike_rekey(initiator=False))
    assert started == IkeSaRekeyStarted(*_WHO, IKE[0], "peer")
    assert isinstance(established, IkeSaEstablished)
    assert established.by == "peer"
    assert deleted == IkeSaDeleted(*_WHO, IKE[0], "peer", "replaced", "INFORMATIONAL")


def test_a_refused_rekey_and_the_end_of_the_sa() -> None:
    watch = _watch()
    refused = (
        "[IKE] <rtx|1> establishing CHILD_SA tunnel100{2} reqid 1",
        "[IKE] <rtx|1> received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built",
        "[IKE] <rtx|1> CHILD_SA rekeying failed, trying again in 7 seconds",
    )
    assert _events(watch, refused) == [
        ChildSaRekeyStarted(*_WHO, ESP[0], "local"),
        ChildSaRekeyFailed(*_WHO, ESP[0], "local", "NO_PROPOSAL_CHOSEN"),
    ]
    expired = (
        "[KNL] creating delete job for CHILD_SA ESP/0xc0000001/192.168.1.2",
        f"[IKE] <rtx|1> {_CLOSING.replace('closing', 'closing expired')}",
        "[IKE] <rtx|1> sending DELETE for ESP CHILD_SA with SPI c0000001",
        "[IKE] <rtx|1> CHILD_SA closed",
    )
    assert _events(watch, expired) == [
        ChildSaDeleted(*_WHO, ESP[0], "local", "expired", "INFORMATIONAL")
    ]


def test_a_refused_rekey_of_the_ike_sa() -> None:
    texts = (
        "[IKE] <rtx|1> initiating IKE_SA rtx[2] to 203.0.113.4",
        "[IKE] <rtx|1> received TEMPORARY_FAILURE notify, will retry later",
        "[IKE] <rtx|1> IKE_SA rekeying failed, trying again in 12 seconds",
    )
    assert _events(_watch(), texts)[1:] == [
        IkeSaRekeyFailed(*_WHO, IKE[0], "local", "TEMPORARY_FAILURE")
    ]


def test_why_the_peer_deletes_it_does_not_tell() -> None:
    texts = (
        "[IKE] <rtx|1> received DELETE for ESP CHILD_SA with SPI c0000002",
        f"[IKE] <rtx|1> {_CLOSING}",
        "[IKE] <rtx|1> sending DELETE for ESP CHILD_SA with SPI c0000001",
        "[IKE] <rtx|1> CHILD_SA closed",
    )
    assert _events(_watch(), texts) == [
        ChildSaDeleted(*_WHO, ESP[0], "peer", None, "INFORMATIONAL")
    ]


def _down(number: int) -> list[tuple[int, str, Section]]:
    """An IKE_SA ends with its CHILD_SA: charon names the IKE_SA first."""
    with_child = {**ike(number), "child-sas": {"tunnel100-1": child()}}
    return [
        (NOW, "ike-updown", {"rtx": ike(number)}),
        (NOW, "child-updown", {"rtx": with_child}),
    ]


@pytest.mark.parametrize("rekeyed", [False, True], ids=["the first IKE_SA", "a rekeyed one"])
@pytest.mark.parametrize(
    ("texts", "by", "why", "exchange"),
    [
        (("giving up after 5 retransmits",), "local", "dead-peer", None),
        (
            ("deleting IKE_SA rtx[N] between a...b", "sending DELETE for IKE_SA rtx[N]"),
            "local",
            "closed",
            "INFORMATIONAL",
        ),
        (
            ("received DELETE for IKE_SA rtx[N]", "IKE_SA deleted"),
            "peer",
            None,
            "INFORMATIONAL",
        ),
    ],
    ids=["dead peer", "by us", "by the peer"],
)
def test_an_ike_sa_takes_its_child_sas_along(
    texts: tuple[str, ...], by: Who, why: Why | None, exchange: Exchange | None, rekeyed: bool
) -> None:
    watch = _watch()
    number = 1
    if rekeyed:
        number = 2
        done = ("[IKE] <rtx|1> sending DELETE for IKE_SA rtx[1]", "[IKE] <rtx|1> IKE_SA deleted")
        *_, deleted = _events(watch, done, ike_rekey())
        assert deleted == IkeSaDeleted(*_WHO, IKE[0], "local", "replaced", "INFORMATIONAL")
    spoken = tuple(f"[IKE] <rtx|{number}> {text.replace('N', str(number))}" for text in texts)
    assert _events(watch, spoken, *_down(number)) == [
        ChildSaDeleted(*_WHO, ESP[0], None, "with-ike-sa", None),
        IkeSaDeleted(*_WHO, IKE[number - 1], by, why, exchange),
    ]
    assert _events(watch, spoken, *_down(number)) == [], "each is told of once"


def test_an_ike_sa_whose_end_only_the_log_tells_takes_them_along_too() -> None:
    texts = ("[IKE] <rtx|1> received DELETE for IKE_SA rtx[1]", "[IKE] <rtx|1> IKE_SA deleted")
    assert _events(_watch(), texts) == [
        ChildSaDeleted(*_WHO, ESP[0], None, "with-ike-sa", None),
        IkeSaDeleted(*_WHO, IKE[0], "peer", None, "INFORMATIONAL"),
    ]


def test_an_idle_child_sa_that_ends_by_itself_is_told_of_by_the_log_alone() -> None:
    with_child: Section = {**ike(), "child-sas": {"tunnel100-1": child()}}
    assert _events(_watch(), (), (NOW, "child-updown", {"rtx": with_child})) == []


def test_the_loser_of_a_collision_was_never_announced() -> None:
    texts = (
        f"[IKE] <rtx|1> {_CLOSING.replace('c000', 'dead')}",
        "[IKE] <rtx|1> CHILD_SA closed",
    )
    (event,) = _events(_watch(), texts)
    assert isinstance(event, ChildSaDeleted)
    assert (event.why, event.spis.inbound) == ("redundant", "dead0001")


def test_lines_without_a_meaning() -> None:
    assert is_noise("1735689600.500 05[IKE] <rtx|1> sending DPD request")
    assert read_line("1735689600.500 05[CFG] added vici connection: rtx") is None
    assert read_line("charon has crashed") is None


def test_a_line_has_its_time_and_its_ike_sa() -> None:
    line = read_line("1735689600.056 06[IKE] <rtx|7> IKE_SA deleted")
    assert line is not None
    assert (line.time_ns, line.fact, line.ike) == (
        1_735_689_600_056_000_000,
        Fact.IKE_DELETED,
        "7",
    )

"""What charon says of a tunnel's life, as lines and control events; SPIs and numbers made short."""

from __future__ import annotations

from testbed.events import EspSpis, IkeSpis
from testbed.peers.strongswan.log_lines import Line, read_line
from testbed.peers.strongswan.messages import Section

IKE = [IkeSpis("1" * 16, "2" * 16), IkeSpis("3" * 16, "4" * 16)]
ESP = [EspSpis("c0000001", "c0000002"), EspSpis("c0000003", "c0000004")]
NOW = 1_735_689_600_500_000_000


def lines(*texts: str) -> list[Line]:
    """The facts in log lines, half a second past NOW's second."""
    found = [read_line(f"1735689600.500 05{text}") for text in texts]
    return [line for line in found if line is not None]


def ike(number: int = 1, *, initiator: bool = True, established: str = "0") -> Section:
    """An IKE_SA as the control connection tells of it."""
    spis = IKE[number - 1]
    section: dict[str, str] = {
        "uniqueid": str(number),
        "initiator-spi": spis.initiator,
        "responder-spi": spis.responder,
        "established": established,
        "rekey-time": "21612",
    }
    return section | ({"initiator": "yes"} if initiator else {})


def child(number: int = 1) -> Section:
    """A CHILD_SA as the control connection tells of it."""
    spis = ESP[number - 1]
    return {
        "name": "tunnel100",
        "uniqueid": str(number),
        "reqid": "1",
        "spi-in": spis.inbound,
        "spi-out": spis.outbound,
        "rekey-time": "20270",
        "life-time": "27000",
    }


def up(*, initiator: bool = True) -> list[tuple[int, str, Section]]:
    """The first IKE_SA and its first CHILD_SA come up."""
    owner = ike(initiator=initiator)
    with_child = {**owner, "child-sas": {"tunnel100-1": child()}}
    return [
        (NOW, "ike-updown", {"up": "yes", "rtx": owner}),
        (NOW, "child-updown", {"up": "yes", "rtx": with_child}),
    ]


def child_rekey(*, initiator: bool = True) -> tuple[int, str, Section]:
    """The CHILD_SA is replaced by the second one."""
    owner = ike(initiator=initiator, established="20270")
    pair = {"tunnel100": {"old": child(1), "new": child(2)}}
    return (NOW, "child-rekey", {"rtx": {**owner, "child-sas": pair}})


def ike_rekey(*, initiator: bool = True) -> tuple[int, str, Section]:
    """The IKE_SA is replaced by the second one; ``initiator``: this end asked for that."""
    pair = {"old": ike(1), "new": ike(2, initiator=initiator)}
    return (NOW, "ike-rekey", {"rtx": pair})

"""The checks of azure_rekey see what they are for: each is shown a fault and a sound tunnel."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.events import (
    ChildSaDeleted,
    ChildSaEstablished,
    EspSpis,
    Event,
    IkeSaEstablished,
    IkeSpis,
    Record,
)
from testbed.events.sa_kinds import Who
from testbed.evidence.sa import History, sa_history
from topologies.azure_rekey import checks, traffic
from topologies.azure_rekey.topology import PC, VM
from topologies.azure_rekey.traffic import Probe, Stream, probes, read_ping, read_trickle
from topologies.azure_rekey.wire import (
    NAMES,
    EspPacket,
    IkeMessage,
    Row,
    esp_packets,
    fields,
    ike_messages,
)

S = 10**9
T0 = 1_735_689_600 * S
OLD, NEW = EspSpis("c0000001", "c0000002"), EspSpis("c0000003", "c0000004")
IKE = IkeSpis("1" * 16, "2" * 16)


def _row(interface: str, second: float, **fields: str) -> Row:
    given = {name.replace("_", "."): value for name, value in fields.items()}
    return {
        **dict.fromkeys(NAMES, ""),
        "frame.interface_name": interface,
        "frame.time_epoch": f"{1_735_689_600 + second:.9f}",
        **given,
    }


def _esp(second: float, spi: str, sequence: int, sender: str = "rtx") -> list[EspPacket]:
    """An ESP packet as it is seen at both ends of the tunnel."""
    packet = EspPacket(checks.RTX_WAN, T0 + int(second * S), sender, spi, sequence)
    return [packet, replace(packet, interface=checks.AZURE_WAN)]


def _told(node: str, peer: str, by: Who, old: EspSpis, new: EspSpis) -> list[Record]:
    """What one end tells of the story below."""
    events: list[tuple[int, Event]] = [
        (0, IkeSaEstablished("x", peer, IKE, by, "IKE_AUTH")),
        (0, ChildSaEstablished("x", peer, old, by, "IKE_AUTH")),
        (100, ChildSaEstablished("x", peer, new, by, "CREATE_CHILD_SA", old=old)),
        (100, ChildSaDeleted("x", peer, old, by, "replaced", "INFORMATIONAL")),
    ]
    return [Record(T0 + second * S, "service", event, node, "ike") for second, event in events]


def _history() -> History:
    """A CHILD_SA for 100 s, and the one by which the RTX replaced it."""
    ours = _told("rtx", "azure", "local", OLD, NEW)
    return sa_history([*ours, *_told("azure", "rtx", "peer", OLD.of_peer(), NEW.of_peer())])


def _ask(second: float, sender: str = "rtx", number: int = 7) -> IkeMessage:
    return IkeMessage(
        checks.AZURE_WAN,
        T0 + int(second * S),
        sender,
        IKE.initiator,
        IKE.responder,
        36,
        True,
        number,
    )


def test_an_esp_packet_that_does_not_arrive() -> None:
    packets = [*_esp(1, "c0000002", 1), *_esp(2, "c0000002", 2)]
    assert checks.lost_on_the_way(packets) == []
    (lost,) = checks.lost_on_the_way(packets[:-1])
    assert "number 2" in lost


def test_an_esp_packet_that_arrives_twice() -> None:
    packets = _esp(1, "c0000002", 1)
    assert checks.lost_on_the_way([*packets, packets[1]]) != []


def test_a_packet_that_is_lost_inside() -> None:
    packet = {"ip.src": PC, "ip.id": "0x1", "ip.proto": "1"}
    sent = {**_row(checks.PC_END, 1), **packet}
    arrived = {**_row(checks.VM_END, 1), **packet}
    assert checks.lost_inside([sent, arrived]) == []
    assert len(checks.lost_inside([sent])) == 1
    assert len(checks.lost_inside([arrived])) == 1


def test_a_ping_without_an_answer_and_one_that_is_refused() -> None:
    rows = [
        _row(checks.PC_END, 1, icmp_type="8", icmp_seq="1"),
        _row(checks.VM_END, 1, icmp_type="8", icmp_seq="1"),
        _row(checks.PC_END, 1.5, icmp_type="0", icmp_seq="1"),
        _row(checks.PC_END, 61, icmp_type="8", icmp_seq="2"),
        _row(checks.PC_END, 61, icmp_type="3,8", icmp_seq="2"),
        _row(checks.PC_END, 121, icmp_type="8", icmp_seq="3"),
    ]
    assert checks.unanswered_pings(rows) == [T0 + 61 * S, T0 + 121 * S]


def test_a_segment_that_is_sent_again() -> None:
    segment = {"ip.src": PC, "tcp.srcport": "40000", "tcp.seq": "1", "tcp.len": "2"}
    here = {**_row(checks.PC_END, 1), **segment}
    there = {**_row(checks.VM_END, 1), **segment}
    acknowledged = {**here, "tcp.len": "0"}
    assert checks.sent_again([here, there, acknowledged, acknowledged]) == []
    assert len(checks.sent_again([here, here])) == 1


def test_a_syn_that_was_not_clamped() -> None:
    def syn(mss: str) -> Row:
        return {**_row(checks.VM_END, 1), "ip.dst": VM, "tcp.options.mss_val": mss}

    assert checks.unclamped([syn("1350")]) == []
    assert checks.unclamped([syn("1460")]) == ["a SYN with MSS 1460"]
    assert checks.unclamped([]) == ["no SYN was seen"]


def test_esp_is_sent_in_living_child_sas_only() -> None:
    history = _history()
    sound = [
        *_esp(1, OLD.outbound, 1),
        *_esp(1, OLD.inbound, 1, "azure"),
        *_esp(101, NEW.outbound, 1),
    ]
    assert list(checks.esp_outside_lives(sound, history)) == []
    (unknown, _) = checks.esp_outside_lives(_esp(1, "cafecafe", 1), history)
    assert "no CHILD_SA has this SPI" in unknown
    (dead, _) = checks.esp_outside_lives(_esp(110, OLD.outbound, 9), history)
    assert "was not alive" in dead
    (turned, _) = checks.esp_outside_lives(_esp(1, OLD.outbound, 1, "azure"), history)
    assert "no CHILD_SA has this SPI" in turned


@pytest.mark.parametrize(
    "wire",
    [
        [],
        [_ask(90)],
        [_ask(100, "azure")],
        [_ask(100), _ask(100, number=8)],
    ],
    ids=["nothing", "another time", "another end", "one too many"],
)
def test_what_is_told_must_be_on_the_wire(wire: list[IkeMessage]) -> None:
    history = _history()
    assert checks.told_and_seen([_ask(100), _ask(100.5)], history) == [], "once sent again"
    assert checks.told_and_seen(wire, history) != []


def test_ike_spis_that_nobody_told_of_and_that_nobody_saw() -> None:
    history = _history()
    first = replace(_ask(0), responder_spi="0" * 16)
    assert checks.unknown_ike_spis([first, _ask(0)], history) == []
    assert checks.unknown_ike_spis([], history) == [f"{IKE}: only told"]
    stranger = replace(_ask(0), initiator_spi="5" * 16)
    assert len(checks.unknown_ike_spis([_ask(0), stranger], history)) == 1


def test_rows_become_packets() -> None:
    ike = {
        "ip.src": "203.0.113.4",
        "isakmp.ispi": IKE.initiator,
        "isakmp.rspi": IKE.responder,
        "isakmp.exchangetype": "36",
        "isakmp.flags": "0x28",
        "isakmp.messageid": "0x0000000a",
    }
    esp = {"ip.src": "198.51.100.2", "esp.spi": "0xc0000001", "esp.sequence": "5"}
    rows: list[Row] = [{**_row("azure/wan", 1.25), **ike}, {**_row("azure/wan", 2), **esp}]
    (message,) = ike_messages(rows)
    assert (message.sender, message.is_request, message.message_id) == ("azure", False, 10)
    assert message.time_ns == T0 + S * 5 // 4
    (packet,) = esp_packets(rows)
    assert (packet.sender, packet.spi, packet.sequence) == ("rtx", "c0000001", 5)


def test_an_icmp_error_that_quotes_is_no_packet_of_the_tunnel() -> None:
    esp = {"ip.src": "198.51.100.2", "esp.spi": "0xc0000001", "esp.sequence": "5"}
    error = {"ip.src": "203.0.113.4,198.51.100.2", "icmp.type": "3"}
    ike = {"isakmp.ispi": IKE.initiator, "isakmp.exchangetype": "36", "isakmp.flags": "0x28"}
    rows: list[Row] = [{**_row("azure/wan", 1), **esp, **ike, **error}]
    assert [*esp_packets(rows), *ike_messages(rows)] == []
    twice: Row = {**_row("azure/wan", 1), **esp, "esp.sequence": "5,6"}
    with pytest.raises(TestbedError, match=r"not one number: esp\.sequence is '5,6'"):
        list(esp_packets([twice]))


def test_what_tshark_cannot_read_is_said_in_its_words(tmp_path: Path) -> None:
    with pytest.raises(
        TestbedError, match=r"none.pcapng: tshark: The file .* doesn't exist\."
    ) as caught:
        fields(tmp_path / "none.pcapng", "ip", "ip.src")
    assert caught.value.where == str(tmp_path / "none.pcapng")


_PING = """\
PING 10.1.0.4 (10.1.0.4) 56(84) bytes of data.
[1735689600.078670] 64 bytes from 10.1.0.4: icmp_seq=1 ttl=62 time=0.001 ms
[1735689723.9] 64 bytes from 10.1.0.4: icmp_seq=3 ttl=62 time=1250 ms
From 192.168.100.1 icmp_seq=4 Destination Host Unreachable

--- 10.1.0.4 ping statistics ---
4 packets transmitted, 2 received, +1 errors, 50% packet loss, time 184321ms
"""


def test_reading_what_ping_wrote() -> None:
    stream = read_ping(_PING)
    assert stream.sent == 4
    assert stream.answered == (
        Probe(1, T0 + 78_670_000, 1e-6),
        Probe(3, T0 + 123_900_000_000, 1.25),
    )
    with pytest.raises(ValueError, match="did not say how many"):
        read_ping(_PING[:200])


def test_reading_the_trickle() -> None:
    whole = "1 100\n1 100 200\n2 300000000100\n2 300000000100 300000000150\n"
    stream = read_trickle(whole)
    assert (stream.sent, [probe.answered_ns for probe in stream.answered]) == (
        2,
        [200, 300_000_000_150],
    )
    assert stream.lost_ns == ()
    waiting = read_trickle(f"{whole}3 600000000100\n")
    assert (waiting.sent, waiting.answered) == (3, stream.answered)
    assert waiting.lost_ns == (600_000_000_100,)
    assert read_trickle("").sent == 0


def test_a_stream_that_was_interrupted() -> None:
    answered = tuple(Probe(number, T0, 0.1) for number in range(12))
    stream = Stream("TCP", 300, 12, answered)
    assert list(checks.interrupted(stream, 1)) == []
    assert list(checks.interrupted(replace(stream, sent=13), 1)) == ["TCP: 12 of 13 were answered"]
    (short,) = checks.interrupted(stream, 2)
    assert short == "TCP: 12 were sent in 2 hours, not 23"
    (dead,) = checks.interrupted(replace(stream, trouble="it ended"), 1)
    assert dead == "TCP: it ended"


def _trickle(*words: str) -> subprocess.Popen[str]:
    program = Path(traffic.__file__).with_name("trickle.py")
    return subprocess.Popen([sys.executable, program, *words], stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("answers", [1, 0])
def test_the_trickle_tells_of_a_question_before_it_is_answered(
    tmp_path: Path, answers: int
) -> None:
    """Also of one that never is: then the program fails, as it does in a tunnel that broke."""
    log = tmp_path / "log"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with _trickle("ask", "127.0.0.1", str(port), "3600", str(log)) as asking:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(100) == b"1\n"
                assert read_trickle(log.read_text()).lost_ns != ()
                if answers:
                    asking.send_signal(signal.SIGTERM)  # waits for the answer
                    connection.sendall(b"1\n")
                    assert connection.recv(100) == b""
            _, words = asking.communicate(timeout=20)
    stream = read_trickle(log.read_text())
    assert (stream.sent, len(stream.answered)) == (1, answers)
    assert (asking.returncode, words) == ((0, "") if answers else (1, words))
    if not answers:
        assert "question 1 was not answered" in words


def test_probes_by_the_hour() -> None:
    """Every answer and every loss is in one hour, and no hour is left out."""
    stream = Stream("ping", 60, 4, tuple(Probe(n, T0 + n * 1800 * S, 0.5) for n in range(3)))
    told = list(probes(stream, [T0 + 5000 * S], T0, T0 + 9000 * S))
    assert [time_ns - T0 for time_ns, _ in told] == [3600 * S, 7200 * S, 9000 * S]
    assert [(event.sent, event.answered) for _, event in told] == [(2, 2), (2, 1), (0, 0)]
    assert told[1][1].lost_ns == (T0 + 5000 * S,)


_CHECKS: list[Callable[[list[Row]], list[str]]] = [checks.lost_inside, checks.sent_again]


@pytest.mark.parametrize("check", _CHECKS)
def test_nothing_is_wrong_with_nothing(check: Callable[[list[Row]], list[str]]) -> None:
    assert check([]) == []

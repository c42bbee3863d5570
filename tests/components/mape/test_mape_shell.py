"""The shell around a core: it keeps going whatever the core does, and ends when told to."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from testbed.components import notify as notify_module
from testbed.components.mape.daemon import SIGNALS, Core, Shell
from testbed.components.mape.errors import ConfigError
from testbed.components.packet.outcome import NOTHING, Outcome
from testbed.events import Drop, Emitter, Event, Note, decode


class Wire:
    """A device made of a socket pair; ``far`` is the kernel's side."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.near.setblocking(False)
        self.far.setblocking(False)

    def fileno(self) -> int:
        return self.near.fileno()

    def read(self) -> bytes | None:
        try:
            return self.near.recv(2000)
        except BlockingIOError:
            return None

    def write(self, packet: bytes) -> None:
        if packet == b"refuse this":
            raise OSError(22, "Invalid argument")
        self.near.send(packet)

    def sent(self) -> list[bytes]:
        got = []
        while True:
            try:
                got.append(self.far.recv(2000))
            except BlockingIOError:
                return got


@dataclass
class Script:
    """A core that does what the test says, packet by packet."""

    steps: dict[bytes, Callable[[], Outcome]]
    timers: list[float] = field(default_factory=list)
    on_timer: Callable[[], Outcome] = lambda: NOTHING

    def receive(self, packet: bytes, now: float) -> Outcome:
        return self.steps[packet]()

    def next_timer(self) -> float | None:
        return self.timers[0] if self.timers else None

    def handle_timer(self, now: float) -> Outcome:
        outcome = self.on_timer()
        self.timers.pop(0)
        return outcome

    def counters(self) -> dict[str, int]:
        return {"received": 7}

    def close(self) -> tuple[Event, ...]:
        return ()


def fail() -> Outcome:
    raise ZeroDivisionError("a bug in the core")


def kill(number: signal.Signals, outcome: Outcome = NOTHING) -> Callable[[], Outcome]:
    def step() -> Outcome:
        os.kill(os.getpid(), number)
        return outcome

    return step


END = kill(signal.SIGTERM)


def serve(
    core: Core, *packets: bytes, reload: Callable[[Core], Core] | None = None
) -> tuple[list[Event], list[bytes], Shell]:
    """Run a shell over these packets until its core ends it; its events and what it sent."""
    wire = Wire()
    stream = io.StringIO()
    shell = Shell(core, wire, Emitter(stream=stream), component="mape-br", reload=reload)
    for packet in packets:
        wire.far.send(packet)
    shell.run()
    events = [decode(line).event for line in stream.getvalue().splitlines()]
    return events, wire.sent(), shell


def test_packets_and_events_of_the_core_go_out_in_order() -> None:
    core = Script(
        {
            b"a": lambda: Outcome((b"1", b"2"), (Note("one"),)),
            b"b": lambda: Outcome((b"3",), (Note("two"),)),
            b"end": END,
        }
    )
    events, sent, _ = serve(core, b"a", b"b", b"end")
    assert sent == [b"1", b"2", b"3"]
    assert events == [Note("one"), Note("two")]


def test_a_bug_in_the_core_costs_one_packet(capsys: pytest.CaptureFixture[str]) -> None:
    core = Script({b"bad": fail, b"good": lambda: Outcome((b"through",)), b"end": END})
    events, sent, shell = serve(core, b"bad", b"good", b"bad", b"end")
    assert sent == [b"through"]
    drops = [event for event in events if isinstance(event, Drop)]
    assert [drop.reason for drop in drops] == ["internal-error", "internal-error"]
    assert "a bug in the core" in (drops[0].detail or "")
    assert shell.counters()["drop.internal-error"] == 2
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_packet_the_kernel_refuses_is_a_drop() -> None:
    core = Script({b"a": lambda: Outcome((b"refuse this", b"2")), b"end": END})
    events, sent, shell = serve(core, b"a", b"end")
    assert sent == [b"2"]
    (drop,) = events
    assert isinstance(drop, Drop)
    assert (drop.reason, drop.detail) == ("not-sent", "Invalid argument")
    assert shell.counters()["drop.not-sent"] == 1


def test_timers_are_handled_when_due() -> None:
    core = Script({}, timers=[0.0, 1.0])

    def tick() -> Outcome:
        core.on_timer = END
        return Outcome((b"tick",))

    core.on_timer = tick
    _, sent, _ = serve(core)
    assert sent == [b"tick"]
    assert core.timers == []


def test_a_timer_that_fails_is_not_tried_for_ever(capsys: pytest.CaptureFixture[str]) -> None:
    core = Script({b"end": END}, timers=[0.0], on_timer=fail)
    events, _, _ = serve(core, b"end")
    assert [getattr(event, "reason", None) for event in events] == ["internal-error"]
    assert "ZeroDivisionError" in capsys.readouterr().err


class EndingEmitter(Emitter):
    """Ends the shell at the first note."""

    shell: Shell

    def emit(self, event: Event, time_ns: int | None = None) -> None:
        super().emit(event, time_ns)
        if isinstance(event, Note):
            self.shell.stop()


def test_usr1_reports_the_counters() -> None:
    wire = Wire()
    stream = io.StringIO()
    emitter = EndingEmitter(stream=stream)
    core = Script({b"bad": fail, b"ask": kill(signal.SIGUSR1)})
    emitter.shell = Shell(core, wire, emitter, component="mape-br")
    wire.far.send(b"bad")
    wire.far.send(b"ask")
    emitter.shell.run()
    note = decode(stream.getvalue().splitlines()[-1]).event
    assert isinstance(note, Note)
    counters = json.loads(note.text.removeprefix("counters "))
    assert counters == {"received": 7, "drop.internal-error": 1}


def test_hup_takes_another_core_into_use() -> None:
    new = Script({b"b": lambda: Outcome((b"new",)), b"end": END})
    old = Script({b"a": kill(signal.SIGHUP)})
    wire = Wire()

    def reload(core: Core) -> Core:
        assert core is old
        wire.far.send(b"b")
        wire.far.send(b"end")
        return new

    shell = Shell(old, wire, Emitter(), component="mape-br", reload=reload)
    wire.far.send(b"a")
    shell.run()
    assert wire.sent() == [b"new"]


def test_a_wrong_configuration_leaves_the_old_core(capsys: pytest.CaptureFixture[str]) -> None:
    core = Script({b"a": kill(signal.SIGHUP)})
    wire = Wire()
    stream = io.StringIO()

    def reload(_: Core) -> Core:
        core.steps[b"end"] = END
        wire.far.send(b"end")
        raise ConfigError("address is missing", where="br.json", hint="add it")

    wire.far.send(b"a")
    Shell(core, wire, Emitter(stream=stream), component="mape-br", reload=reload).run()
    note = decode(stream.getvalue().strip()).event
    assert isinstance(note, Note)
    assert "the old configuration stays: br.json: address is missing" in note.text
    assert "address is missing" in capsys.readouterr().err


def test_signal_handlers_are_put_back() -> None:
    def ours(number: int, frame: object) -> None:
        """Somebody else's handler."""

    before = {number: signal.signal(number, ours) for number in SIGNALS}
    try:
        serve(Script({b"end": END}), b"end")
        assert {signal.getsignal(number) for number in SIGNALS} == {ours}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("name", ["@testbed-test-notify-{pid}", "path"])
def test_readiness_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: object, name: str) -> None:
    address = name.format(pid=os.getpid()) if name != "path" else f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0"))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        assert notify_module.notify("READY=1")
        assert listener.recv(100) == b"READY=1"
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert not notify_module.notify("READY=1")

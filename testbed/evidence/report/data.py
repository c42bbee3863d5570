"""What a report is made of: frozen data that whoever runs scenarios fills in.

Times are nanoseconds since the epoch, durations seconds, sizes bytes.  Every ``path`` is relative
to the run folder, with ``/`` between its parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

from testbed.errors import TestbedError
from testbed.events import Record
from testbed.evidence.report.packets import PacketLine

PASSED = "passed"
FAILED = "failed"
ERROR = "error"
SKIPPED = "skipped"
OUTCOMES = (FAILED, ERROR, SKIPPED, PASSED)
"""What can become of a scenario, worst first."""

HTML_ONLY: Mapping[str, bool] = MappingProxyType({"html_only": True})
"""Metadata of fields that the JSON form leaves out."""


class ReportError(TestbedError):
    """A report cannot be made of this data, or cannot be written."""


@dataclass(frozen=True, slots=True)
class TextEvidence:
    """A titled piece of text: a command and its output, a log excerpt."""

    kind: ClassVar[str] = "text"
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class TableEvidence:
    """A titled table; every row has as many cells as there are columns.

    ``tones`` says how rows look: ``good``, ``bad``, ``warn`` or ``plain``, one for every row, or
    none at all.  What a tone means stands in the cells in words, too.
    """

    kind: ClassVar[str] = "table"
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    tones: tuple[str, ...] = field(default=(), metadata=HTML_ONLY)


@dataclass(frozen=True, slots=True)
class PacketsEvidence:
    """Packets of a capture; ``path`` is the capture they are from, if it is kept."""

    kind: ClassVar[str] = "packets"
    title: str
    packets: tuple[PacketLine, ...]
    path: str | None = None


@dataclass(frozen=True, slots=True)
class FileEvidence:
    """A file of the run folder."""

    kind: ClassVar[str] = "file"
    title: str
    path: str


@dataclass(frozen=True, slots=True)
class DrawingEvidence:
    """A drawing: an SVG document that stands alone and is a plain picture.

    Plain means: the elements and attributes that :mod:`testbed.evidence.report.drawing` lets in,
    with words in ``text`` and ``title`` only.  ``path`` is the file of the run folder into which
    it is written (:func:`testbed.evidence.report.write_report`).
    """

    kind: ClassVar[str] = "drawing"
    title: str
    svg: str = field(metadata=HTML_ONLY)
    path: str | None = None


Evidence = TextEvidence | TableEvidence | PacketsEvidence | FileEvidence | DrawingEvidence


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario and its verdict.

    ``title`` is the first sentence of its docstring; ``why`` the failure or the reason of the skip;
    ``output`` the long text (traceback, captured output).  ``last_packets`` are those before it
    failed.  ``machine`` is where it ran (``host``; ``guest, virtual clock``, by which ``seconds``
    are counted, too), and ``placed`` what made it run there.
    """

    id: str
    title: str
    outcome: str
    seconds: float
    started_ns: int = 0
    topology: str = ""
    why: str = ""
    output: str = ""
    evidence: tuple[Evidence, ...] = ()
    last_packets: PacketsEvidence | None = None
    files: tuple[FileEvidence, ...] = ()
    machine: str = ""
    placed: str = ""

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise ReportError(
                f"{self.outcome!r} is no outcome of a scenario",
                where=self.id,
                hint="one of " + ", ".join(OUTCOMES),
            )


@dataclass(frozen=True, slots=True)
class TopologyView:
    """A topology that was up in the run: its drawing and the events of its lab.

    ``name`` names the lab; ``svg`` is what :func:`testbed.evidence.graph.draw_svg` made of the
    topology (labs of equal drawings share one in the page); ``events`` is the path of the whole
    event stream, if it is kept.  Drawing and events are not repeated in the JSON form.
    """

    name: str
    title: str
    svg: str = field(default="", metadata=HTML_ONLY)
    records: tuple[Record, ...] = field(default=(), metadata=HTML_ONLY)
    events: str | None = None


@dataclass(frozen=True, slots=True)
class DropExample:
    """One dropped packet: when, in which node and service, where in it, and by which rule."""

    time_ns: int
    where: str
    place: str
    packet: str
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class DropGroup:
    """All packets that a kind of component dropped for one reason; ``places`` sum to ``count``."""

    component: str
    reason: str
    meaning: str
    clause: str
    count: int
    places: tuple[tuple[str, int], ...] = ()
    examples: tuple[DropExample, ...] = ()


@dataclass(frozen=True, slots=True)
class CaptureFile:
    """A capture of the run: packets in it and packets that were lost before it."""

    path: str
    interfaces: tuple[str, ...]
    packets: int
    lost: int
    size: int


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log of the run; ``title`` says whose, for example ``br/mape``."""

    path: str
    title: str
    size: int


@dataclass(frozen=True, slots=True)
class Run:
    """The run as a whole and the machine it ran on; ``tools`` are names and versions."""

    id: str
    started_ns: int
    seconds: float
    command: tuple[str, ...]
    host: str
    kernel: str
    python: str
    testbed: str
    seed: int | None = None
    revision: str | None = None
    tools: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GuestRun:
    """A guest that was part of the run: what it was made of, and the hash of what happened in it.

    ``path`` is its own run folder, ``kernel`` the guest kernel's key and ``release`` its version;
    ``clock`` is ``real`` or ``virtual``, ``start`` the moment at which a virtual one began;
    ``sources`` is the digest of code and topologies; ``history`` the hash over all captures and
    events (docs/determinism.md), None where the guest broke off.  With a virtual clock and a seed
    all this ``repeats``.
    """

    path: str
    kernel: str
    release: str
    clock: str
    sources: str
    repeats: bool
    start: str | None = None
    seed: int | None = None
    history: str | None = None


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a topology's scenarios ran, or would have: on which backend, kernel and clock.

    ``outcomes`` counts how they ended (see :data:`OUTCOMES`).  Where ``kernel`` is empty they ran
    nowhere on this backend, and ``why`` says why not; elsewhere it says what made it so.
    """

    topology: str
    backend: str
    kernel: str
    clock: str
    outcomes: tuple[tuple[str, int], ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class RunReport:
    """All that the report shows."""

    run: Run
    scenarios: tuple[Scenario, ...] = ()
    topologies: tuple[TopologyView, ...] = ()
    drops: tuple[DropGroup, ...] = ()
    captures: tuple[CaptureFile, ...] = ()
    logs: tuple[LogFile, ...] = ()
    guests: tuple[GuestRun, ...] = ()
    grounds: tuple[Ground, ...] = ()

    def count(self, outcome: str) -> int:
        """How many scenarios ended so."""
        return sum(scenario.outcome == outcome for scenario in self.scenarios)

    @property
    def verdict(self) -> str:
        """``failed`` when anything failed or broke, else ``passed``; ``skipped`` if nothing ran."""
        if self.count(FAILED) or self.count(ERROR):
            return FAILED
        return PASSED if self.count(PASSED) else SKIPPED

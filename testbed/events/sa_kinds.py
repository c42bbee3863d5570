"""The life of IKE_SAs and CHILD_SAs (RFC 7296) as events, and the probes sent through them.

The contract of whoever emits them (a watcher of a daemon, our own daemon):

* An event tells what **one end** saw.  ``local`` is the end that speaks (the node of the record),
  ``peer`` the other one.  Both ends may tell of the same SA: their SPIs match, and
  :mod:`testbed.evidence.sa` brings the two views together.  ``peer`` in the fields is the other
  end's node name, or its address where the name is not known.
* A field that the daemon does not tell stays None; nothing is guessed.
* Normal order at one end::

    established (IKE, by IKE_AUTH), established (CHILD, by IKE_AUTH)
    rekey-started (old SA, by whom)         when it can be seen
    established (the new SA, by whom, by CREATE_CHILD_SA)
    replaced (old -> new)                   the new one is used from now on; the old may live on
    deleted (old, by whom, why)             now it is gone

  Missing, repeated and swapped events are expected of real daemons and do no harm.
* The time of the record is when it happened in the lab's clock, as exactly as it is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from testbed.events.kinds import Event

Who = Literal["local", "peer"]
Exchange = Literal["IKE_SA_INIT", "IKE_AUTH", "CREATE_CHILD_SA", "INFORMATIONAL"]
Why = Literal["replaced", "expired", "closed", "dead-peer", "redundant", "with-ike-sa"]
"""Why an SA went.

``replaced``: its rekey was done; ``expired``: its life ended; ``closed``: somebody asked;
``dead-peer``: liveness checks were not answered (RFC 7296 section 2.4); ``redundant``: it lost a
rekey collision (section 2.8.1); ``with-ike-sa``: a CHILD_SA whose IKE_SA went (section 1.4.1).
"""

_IKE = {"pattern": "^[0-9a-f]{16}$", "maxLength": 16}
_ESP = {"pattern": "^[0-9a-f]{8}$", "maxLength": 8}


def ike_spi(value: int | str) -> str:
    """An IKE SPI as its 16 hexadecimal digits, from a number or any usual spelling of it."""
    return _spi(value, 16)


def esp_spi(value: int | str) -> str:
    """An ESP SPI as its 8 hexadecimal digits, from a number or any spelling (``0xc0ffee``)."""
    return _spi(value, 8)


def _spi(value: int | str, digits: int) -> str:
    if isinstance(value, str):
        number = int(value.removesuffix("_i").removesuffix("_r"), 16)
    else:
        number = value
    text = f"{number:0{digits}x}"
    if len(text) > digits or number < 0:
        raise ValueError(f"{value!r} is no SPI of {digits} hexadecimal digits")
    return text


@dataclass(frozen=True, slots=True)
class IkeSpis:
    """The pair that names an IKE_SA: SPIi and SPIr of its header (RFC 7296 section 3.1).

    Both ends see the same pair.  The initiator is the one of the exchange that made *this* SA, so
    after a rekey by the peer the first SPI is the peer's.
    """

    initiator: str = field(metadata={"schema": _IKE})
    responder: str = field(metadata={"schema": _IKE})

    def __post_init__(self) -> None:
        _check(16, self.initiator, self.responder)

    def __str__(self) -> str:
        return f"{self.initiator}_i {self.responder}_r"


@dataclass(frozen=True, slots=True)
class EspSpis:
    """The two SPIs of a CHILD_SA as the speaking end sees them (RFC 4303 section 2.1).

    ``inbound`` was chosen by the speaking end; it is the other end's ``outbound``.
    """

    inbound: str = field(metadata={"schema": _ESP})
    outbound: str = field(metadata={"schema": _ESP})

    def __post_init__(self) -> None:
        _check(8, self.inbound, self.outbound)

    def __str__(self) -> str:
        return f"{self.inbound} in, {self.outbound} out"

    def of_peer(self) -> EspSpis:
        """The same pair as the other end sees it."""
        return EspSpis(self.outbound, self.inbound)


def _check(digits: int, *spis: str) -> None:
    for spi in spis:
        if not re.fullmatch(f"[0-9a-f]{{{digits}}}", spi):
            raise ValueError(f"{spi!r} is no SPI: hexadecimal digits, lower case, all of them")


@dataclass(frozen=True, slots=True)
class SaEvent(Event):
    """What the events of an SA have in common; ``component`` is the daemon, e.g. ``strongswan``."""

    component: str
    peer: str


@dataclass(frozen=True, slots=True)
class IkeSaEstablished(SaEvent):
    """An IKE_SA can be used from now on; ``by`` started the ``exchange`` that made it.

    ``rekey_s`` and ``life_s`` are this end's own plans: seconds from now until it will start a
    rekey, and until it will give the SA up.  ``old`` is the SA it was made to replace.
    """

    kind: ClassVar[str] = "ike-sa-established"
    spis: IkeSpis
    by: Who | None = None
    exchange: Exchange | None = None
    rekey_s: float | None = None
    life_s: float | None = None
    old: IkeSpis | None = None


@dataclass(frozen=True, slots=True)
class IkeSaRekeyStarted(SaEvent):
    """A CREATE_CHILD_SA request to rekey this IKE_SA was sent (``by`` local) or received (peer)."""

    kind: ClassVar[str] = "ike-sa-rekey-started"
    spis: IkeSpis
    by: Who | None = None


@dataclass(frozen=True, slots=True)
class IkeSaRekeyFailed(SaEvent):
    """A rekey came to nothing; ``notify`` is the peer's answer (``TEMPORARY_FAILURE``...)."""

    kind: ClassVar[str] = "ike-sa-rekey-failed"
    spis: IkeSpis
    by: Who | None = None
    notify: str | None = None


@dataclass(frozen=True, slots=True)
class IkeSaReplaced(SaEvent):
    """From now on the ``new`` IKE_SA is used and owns the CHILD_SAs; ``by`` started the rekey."""

    kind: ClassVar[str] = "ike-sa-replaced"
    old: IkeSpis
    new: IkeSpis
    by: Who | None = None


@dataclass(frozen=True, slots=True)
class IkeSaDeleted(SaEvent):
    """An IKE_SA is gone; ``by`` decided so, with a Delete payload where ``exchange`` says so."""

    kind: ClassVar[str] = "ike-sa-deleted"
    spis: IkeSpis
    by: Who | None = None
    why: Why | None = None
    exchange: Exchange | None = None


@dataclass(frozen=True, slots=True)
class ChildSaEstablished(SaEvent):
    """A CHILD_SA can carry traffic from now on; ``by`` started the ``exchange`` that made it.

    ``rekey_s``, ``life_s`` and ``old`` as with :class:`IkeSaEstablished`; ``ike`` is the IKE_SA
    under which it was made.
    """

    kind: ClassVar[str] = "child-sa-established"
    spis: EspSpis
    by: Who | None = None
    exchange: Exchange | None = None
    rekey_s: float | None = None
    life_s: float | None = None
    old: EspSpis | None = None
    ike: IkeSpis | None = None


@dataclass(frozen=True, slots=True)
class ChildSaRekeyStarted(SaEvent):
    """A CREATE_CHILD_SA request to rekey this CHILD_SA was sent (``by`` local) or received."""

    kind: ClassVar[str] = "child-sa-rekey-started"
    spis: EspSpis
    by: Who | None = None


@dataclass(frozen=True, slots=True)
class ChildSaRekeyFailed(SaEvent):
    """A rekey came to nothing; ``notify`` is the peer's answer (``NO_PROPOSAL_CHOSEN``...)."""

    kind: ClassVar[str] = "child-sa-rekey-failed"
    spis: EspSpis
    by: Who | None = None
    notify: str | None = None


@dataclass(frozen=True, slots=True)
class ChildSaReplaced(SaEvent):
    """From now on traffic is sent in the ``new`` CHILD_SA; ``by`` started the rekey."""

    kind: ClassVar[str] = "child-sa-replaced"
    old: EspSpis
    new: EspSpis
    by: Who | None = None


@dataclass(frozen=True, slots=True)
class ChildSaDeleted(SaEvent):
    """A CHILD_SA is gone; ``by`` decided so, with a Delete payload where ``exchange`` says so."""

    kind: ClassVar[str] = "child-sa-deleted"
    spis: EspSpis
    by: Who | None = None
    why: Why | None = None
    exchange: Exchange | None = None


@dataclass(frozen=True, slots=True)
class Probes(Event):
    """Probes (pings) sent from ``since_ns`` until the time of the record, and how many came back.

    One event may tell of a single probe or of a whole day; a minute to an hour makes a good
    picture.  ``name`` tells streams apart (``ping branch to vm``).  ``lost_ns`` are the times at
    which the unanswered ones were sent: all of them, or the first ones if there are very many.
    ``slowest_s`` is the longest round trip.
    """

    kind: ClassVar[str] = "probes"
    name: str
    since_ns: int
    sent: int
    answered: int
    lost_ns: tuple[int, ...] = ()
    slowest_s: float | None = None

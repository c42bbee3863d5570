"""A NAPT as one would explain it on a whiteboard: lists, whole histories, no shortcuts.

Nothing here is shared with the engine.  A session is the list of what was seen of it; whatever the
engine keeps in bits, deltas, heaps and indexes is worked out anew from those lists each time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

IN, OUT = "in", "out"

Remote = tuple[str, int]


@dataclass
class RefTimes:
    udp: float
    icmp: float
    established: float
    opening: float
    closing: float


@dataclass
class RefSession:
    remote: Remote
    history: list[tuple[str, str]] = field(default_factory=list)
    """(direction, TCP flags) since the connection was (last) opened."""
    deadline: float = 0.0


@dataclass
class RefMapping:
    protocol: str
    inside: Remote
    outside_port: int
    shared_by: tuple[object, ...]
    static: bool = False
    sessions: list[RefSession] = field(default_factory=list)


@dataclass
class Reference:
    outside: str
    ports: list[int]
    times: RefTimes
    mapping: str = "eim"
    filtering: str = "eif"
    most_mappings: int | None = None
    most_sessions: int | None = None
    inbound_refresh: bool = False
    mappings: list[RefMapping] = field(default_factory=list)
    last_port: dict[str, int] = field(default_factory=dict)

    # What packets do.  Each returns what should be seen: ("out" | "in", inside or outside endpoint
    # that was written) or ("drop", reason).

    def send_out(
        self, protocol: str, inside: Remote, remote: Remote, flags: str, now: float
    ) -> tuple[str, object]:
        self.forget(now)
        own = remote[0] == self.outside
        if own and protocol == "icmp":
            return "drop", "icmp-hairpin-query"
        if own and remote[1] in self.ports:
            if self._at(protocol, remote[1]) is None:
                return "drop", "no-mapping"
            done = self._use(protocol, inside, remote, flags, now)
            if isinstance(done, str):
                return "drop", done
            return self.send_in(protocol, remote[1], (self.outside, done.outside_port), flags, now)
        done = self._use(protocol, inside, remote, flags, now)
        if isinstance(done, str):
            return "drop", done
        return "out", (self.outside, done.outside_port)

    def send_in(
        self, protocol: str, port: int, remote: Remote, flags: str, now: float
    ) -> tuple[str, object]:
        self.forget(now)
        if port not in self.ports:
            return "drop", "port-outside-set"
        mapping = self._at(protocol, port)
        if mapping is None:
            return "drop", "no-mapping"
        known = [s for s in mapping.sessions if s.remote == remote]
        if not known and not mapping.static:
            if self.filtering == "apdf":
                return "drop", "filtered"
            if self.filtering == "adf" and remote[0] not in [s.remote[0] for s in mapping.sessions]:
                return "drop", "filtered"
        if protocol == "tcp":
            if not known and "S" in flags:
                if self._is_full(mapping):
                    return "drop", "session-quota"
                known = [RefSession(remote)]
                mapping.sessions += known
            if known:
                self._note(known[0], IN, flags, now)
        elif known and self.inbound_refresh:
            known[0].deadline = now + self._idle(protocol)
        return "in", mapping.inside

    def forward(self, protocol: str, port: int, inside: Remote) -> None:
        self.mappings.append(RefMapping(protocol, inside, port, (), static=True))

    def forget(self, now: float) -> None:
        for mapping in self.mappings:
            mapping.sessions = [s for s in mapping.sessions if s.deadline > now]
        self.mappings = [m for m in self.mappings if m.sessions or m.static]

    # How

    def _at(self, protocol: str, port: int) -> RefMapping | None:
        found = [m for m in self.mappings if (m.protocol, m.outside_port) == (protocol, port)]
        assert len(found) <= 1
        return found[0] if found else None

    def _scope(self, protocol: str, remote: Remote) -> tuple[object, ...]:
        if protocol == "icmp":
            remote = (remote[0], 0)
        return {"eim": (), "adm": remote[:1], "apdm": remote}[self.mapping]

    def _use(
        self, protocol: str, inside: Remote, remote: Remote, flags: str, now: float
    ) -> RefMapping | str:
        scope = self._scope(protocol, remote)
        opens = protocol != "tcp" or "S" in flags
        mine = [m for m in self.mappings if (m.protocol, m.inside) == (protocol, inside)]
        usable = [m for m in mine if m.static] or [m for m in mine if m.shared_by == scope]
        if usable:
            mapping = usable[0]
        else:
            if not opens:
                return "tcp-no-session"
            of_host = [
                m
                for m in self.mappings
                if (m.protocol, m.inside[0]) == (protocol, inside[0]) and not m.static
            ]
            if self.most_mappings is not None and len(of_host) >= self.most_mappings:
                return "mapping-quota"
            port = self._next_port(protocol)
            if port is None:
                return "ports-exhausted"
            mapping = RefMapping(protocol, inside, port, scope)
            self.mappings.append(mapping)
        remote = (remote[0], 0) if protocol == "icmp" else remote
        known = [s for s in mapping.sessions if s.remote == remote]
        if not known:
            if not opens:
                return mapping
            if self._is_full(mapping):
                return "session-quota"
            known = [RefSession(remote)]
            mapping.sessions += known
        if protocol == "tcp":
            self._note(known[0], OUT, flags, now)
        else:
            known[0].deadline = now + self._idle(protocol)
        return mapping

    def _next_port(self, protocol: str) -> int | None:
        """The lowest free port above the one given last, or else the lowest free one."""
        used = {m.outside_port for m in self.mappings if m.protocol == protocol}
        free = [p for p in self.ports if p not in used]
        if not free:
            return None
        above = [p for p in free if p > self.last_port.get(protocol, 0)]
        self.last_port[protocol] = min(above or free)
        return self.last_port[protocol]

    def _is_full(self, mapping: RefMapping) -> bool:
        return self.most_sessions is not None and len(mapping.sessions) >= self.most_sessions

    def _idle(self, protocol: str) -> float:
        return self.times.udp if protocol == "udp" else self.times.icmp

    def _note(self, session: RefSession, direction: str, flags: str, now: float) -> None:
        before = self._seen(session)
        both_ended = {(IN, "F"), (OUT, "F")} <= before
        if "S" in flags and "R" not in flags and both_ended:
            session.history = []
            before = set()
        session.history.append((direction, flags))
        after = self._seen(session)
        if "reset" in after or {(IN, "F"), (OUT, "F")} <= after:
            if after != before:
                session.deadline = now + self.times.closing
        elif {(IN, "S"), (OUT, "S")} <= after:
            session.deadline = now + self.times.established
        else:
            session.deadline = now + self.times.opening

    @staticmethod
    def _seen(session: RefSession) -> set[object]:
        """Which SYNs and FINs the history has, by direction, and whether it ends with an RST."""
        seen: set[object] = {
            (direction, letter)
            for direction, flags in session.history
            for letter in "SF"
            if letter in flags and "R" not in flags
        }
        if session.history and "R" in session.history[-1][1]:
            seen.add("reset")
        return seen

"""Mapping rules: the provisioned data that ties IPv4 addresses and ports to IPv6 prefixes.

One rule (RFC 7597 section 5) says: the customers under ``ipv6_prefix`` hold the addresses of
``ipv4_prefix``; the ``ea_len`` bits after the rule prefix (EA bits, "embedded address") are the
rest of the IPv4 address and, when bits are left over, the PSID.  The same rule plays two parts:

* **BMR** (basic mapping rule): the rule that covers a CE's own prefix; gives the CE its parameters.
* **FMR** (forwarding mapping rule, ``forwarding=True``): a CE may also use it to reach other CEs
  directly (mesh); without it all traffic passes the BR.

Everything else goes to the BR (the **DMR** of the drafts): ``br``, carried per rule because some
providers have several.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from testbed.components.mape.errors import RuleError
from testbed.components.mape.ports import check_port_layout

MAX_EA_LEN = 48
"""RFC 7597 section 5: 32 bits of address and 16 bits of PSID."""


@dataclass(frozen=True, slots=True)
class MapRule:
    """One mapping rule; lengths are in bits.

    ``psid_len`` and ``psid`` are only given when the PSID does not come from the EA bits (RFC 7598
    section 4.5: explicit PSID).  Derived, read-only: ``k`` the PSID length in force, ``suffix_len``
    how many EA bits belong to the IPv4 address, ``assigned_len`` the prefix length of what a CE has
    in IPv4 (32 for an address), ``end_user_len`` the End-user prefix length, ``ipv6_bits`` and
    ``ipv4_bits`` the prefixes as integers, ``ipv6_len`` the length of the former.

    Raises:
        RuleError: the parts contradict each other; ``error.field`` says which one is to be changed.
    """

    ipv6_prefix: IPv6Network
    ipv4_prefix: IPv4Network
    ea_len: int
    psid_offset: int
    psid_len: int | None = None
    psid: int | None = None
    br: IPv6Address | None = None
    forwarding: bool = False
    name: str = ""
    k: int = field(init=False, repr=False, compare=False)
    suffix_len: int = field(init=False, repr=False, compare=False)
    assigned_len: int = field(init=False, repr=False, compare=False)
    end_user_len: int = field(init=False, repr=False, compare=False)
    ipv6_len: int = field(init=False, repr=False, compare=False)
    ipv6_bits: int = field(init=False, repr=False, compare=False)
    ipv4_bits: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.ea_len <= MAX_EA_LEN:
            raise RuleError(
                "ea_len", f"{self.ea_len} is out of range", hint="0 to 48 EA bits are possible"
            )
        end_user_len = self.ipv6_prefix.prefixlen + self.ea_len
        if end_user_len > 128:
            raise RuleError(
                "ea_len",
                f"prefix /{self.ipv6_prefix.prefixlen} and {self.ea_len} EA bits exceed 128 bits",
                hint="shorten the IPv6 prefix or the EA bits",
            )
        host_len = 32 - self.ipv4_prefix.prefixlen
        derived_k = max(0, self.ea_len - host_len)
        k = derived_k if self.psid_len is None else self.psid_len
        check_port_layout(self.psid_offset, k)
        self._check_explicit(derived_k, host_len)
        derived = {
            "k": k,
            "suffix_len": self.ea_len - derived_k,
            "assigned_len": self.ipv4_prefix.prefixlen + self.ea_len - derived_k,
            "ipv6_len": self.ipv6_prefix.prefixlen,
            "end_user_len": end_user_len,
            "ipv6_bits": int(self.ipv6_prefix.network_address),
            "ipv4_bits": int(self.ipv4_prefix.network_address),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def _check_explicit(self, derived_k: int, host_len: int) -> None:
        if self.psid is None:
            if self.psid_len is not None and self.psid_len != derived_k:
                raise RuleError(
                    "psid_len",
                    f"{self.psid_len} given, but the EA bits carry {derived_k} bits of PSID",
                    hint="leave the length out, correct the EA bits, or give the PSID itself too",
                )
            return
        if derived_k:
            raise RuleError(
                "psid",
                f"given, but {derived_k} EA bits carry the PSID already",
                hint="an explicit PSID goes with a rule whose EA bits end with the IPv4 address",
            )
        if self.ea_len < host_len:
            raise RuleError(
                "psid",
                f"given, but the rule assigns IPv4 prefixes of /{32 - host_len + self.ea_len}",
                hint="only a whole IPv4 address can be shared (RFC 7598 section 4.5)",
            )
        if not self.psid_len:
            raise RuleError(
                "psid_len",
                "an explicit PSID needs its length",
                hint="give the length too, 1 to 16 bits",
            )
        if not 0 <= self.psid < 1 << self.psid_len:
            raise RuleError(
                "psid",
                f"{self.psid} does not fit into {self.psid_len} bits",
                hint=f"a PSID of {self.psid_len} bits lies in 0 to {(1 << self.psid_len) - 1}",
            )

    @property
    def shared(self) -> bool:
        """Whether several CEs hold the same IPv4 address."""
        return self.k > 0

    def __str__(self) -> str:
        label = f"{self.name} " if self.name else ""
        return (
            f"{label}{self.ipv6_prefix} -> {self.ipv4_prefix} ea {self.ea_len} "
            f"offset {self.psid_offset} psid-len {self.k}"
        )

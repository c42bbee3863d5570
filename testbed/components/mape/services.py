"""The CE and the BR as services: configuration, core, interface and shell put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from testbed.components.mape.br import COMPONENT as BR
from testbed.components.mape.br import BorderRelay
from testbed.components.mape.br_config import BorderRelayConfig, load_br_config
from testbed.components.mape.ce import COMPONENT as CE
from testbed.components.mape.ce import CustomerEdge
from testbed.components.mape.ce_config import CustomerEdgeConfig, load_ce_config
from testbed.components.mape.daemon import Core, Shell
from testbed.components.mape.interface import Interface, InterfacePlan, warnings
from testbed.components.notify import notify
from testbed.events import Emitter, Event, Provisioned

_ETHERNET_MTU = 1500
_ALL_IPV4 = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True, slots=True)
class Setup:
    """A service as its configuration file wants it; ``events`` tell of what it begins with."""

    core: Core
    plan: InterfacePlan
    events: tuple[Event, ...]


def run_br(path: Path, emitter: Emitter) -> None:
    """Run a BR with the configuration in ``path`` until a signal ends it.

    HUP takes a changed file into use, with counters anew.

    Raises:
        TestbedError: the configuration is wrong, or the kernel refuses what it asks for.
    """
    _run(BR, set_up_br, path, emitter)


def run_ce(path: Path, emitter: Emitter) -> None:
    """Run a CE with the configuration in ``path`` until a signal ends it.

    HUP takes a changed file into use as if the CE had restarted: all mappings end (with their
    events), static forwards and counters begin anew.

    Raises:
        TestbedError: the configuration is wrong, or the kernel refuses what it asks for.
    """
    _run(CE, set_up_ce, path, emitter)


def set_up_br(path: Path) -> Setup:
    """A BR's device takes its own tunnel address and the IPv4 prefixes of its rules."""
    config = load_br_config(path)
    prefixes = dict.fromkeys(rule.ipv4_prefix for rule in config.rules)
    plan = InterfacePlan(
        mtu=max(_ETHERNET_MTU, config.ipv6_mtu), routes=(_host(config.address), *prefixes)
    )
    return Setup(BorderRelay(config), plan, (Provisioned(BR, _describe_br(config)),))


def set_up_ce(path: Path) -> Setup:
    """A CE's device takes its MAP address and all IPv4 that leaves the home."""
    config = load_ce_config(path)
    plan = InterfacePlan(
        mtu=max(_ETHERNET_MTU, config.ipv6_mtu),
        routes=(_host(config.parameters.ce_ipv6), _ALL_IPV4),
    )
    core = CustomerEdge(config)
    return Setup(core, plan, (Provisioned(CE, _describe_ce(config)), *core.startup))


def _run(component: str, set_up: Callable[[Path], Setup], path: Path, emitter: Emitter) -> None:
    setup = set_up(path)
    interface = Interface.create(setup.plan)

    def reload(old: Core) -> Core:
        changed = set_up(path)
        interface.change(changed.plan)
        for event in (*old.close(), *changed.events):
            emitter.emit(event)
        return changed.core

    with interface.device as device:
        for event in (*setup.events, *warnings()):
            emitter.emit(event)
        shell = Shell(setup.core, device, emitter, component=component, reload=reload)
        shell.run(ready=lambda: notify("READY=1"))


def _host(address: IPv6Address) -> IPv6Network:
    return IPv6Network((address, 128))


def _describe_br(config: BorderRelayConfig) -> str:
    rules = "1 rule" if len(config.rules) == 1 else f"{len(config.rules)} rules"
    check = "on" if config.source_check else "off"
    return f"{config.address}, {rules}, {config.iid.value}, source check {check}"


def _describe_ce(config: CustomerEdgeConfig) -> str:
    given = config.parameters
    ports = str(given.ports) if given.rule.shared else "all ports"
    mesh = "mesh" if config.mesh else "no mesh"
    return f"{given.ipv4}, {ports}, {given.ce_ipv6}, BR {config.br}, {mesh}"

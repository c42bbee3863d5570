"""The CE and the BR as services: configuration, core, interface and shell put together."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

from testbed.components.mape.br import COMPONENT as BR
from testbed.components.mape.br import BorderRelay
from testbed.components.mape.br_config import BorderRelayConfig, load_br_config
from testbed.components.mape.daemon import Core, Shell
from testbed.components.mape.interface import Interface, InterfacePlan, warnings
from testbed.components.notify import notify
from testbed.events import Emitter, Provisioned

_ETHERNET_MTU = 1500


def _host(address: IPv6Address) -> IPv6Network:
    return IPv6Network((address, 128))


def br_plan(config: BorderRelayConfig) -> InterfacePlan:
    """A BR's device takes its own tunnel address and the IPv4 prefixes of its rules."""
    prefixes = dict.fromkeys(rule.ipv4_prefix for rule in config.rules)
    return InterfacePlan(
        mtu=max(_ETHERNET_MTU, config.ipv6_mtu), routes=(_host(config.address), *prefixes)
    )


def _br_provisioned(config: BorderRelayConfig) -> Provisioned:
    check = "on" if config.source_check else "off"
    rules = "1 rule" if len(config.rules) == 1 else f"{len(config.rules)} rules"
    return Provisioned(
        component=BR,
        detail=f"{config.address}, {rules}, {config.iid.value}, source check {check}",
    )


def run_br(path: Path, emitter: Emitter) -> None:
    """Run a BR with the configuration in ``path`` until a signal ends it.

    HUP takes a changed file into use with a fresh core: counters start anew, and fragments on their
    way are lost.

    Raises:
        TestbedError: the configuration is wrong, or the kernel refuses what it asks for.
    """
    config = load_br_config(path)
    interface = Interface.create(br_plan(config))

    def reload(_: Core) -> Core:
        changed = load_br_config(path)
        interface.change(br_plan(changed))
        emitter.emit(_br_provisioned(changed))
        return BorderRelay(changed)

    with interface.device as device:
        for event in (_br_provisioned(config), *warnings()):
            emitter.emit(event)
        shell = Shell(BorderRelay(config), device, emitter, component=BR, reload=reload)
        shell.run(ready=_ready)


def _ready() -> None:
    notify("READY=1")

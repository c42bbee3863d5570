"""The doctor on Mininet and Docker."""

from __future__ import annotations

import pytest

from testbed.doctor import backends
from testbed.doctor.capability import Kind, State
from testbed.doctor.kernels import compare, find_guest, in_guest


def test_what_is_not_there_comes_with_the_reason_and_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backends, "trouble", lambda name: f"no {name} here")
    mininet, docker = backends.find_backends()
    assert [one.name for one in (mininet, docker)] == ["mininet", "docker"]
    for one in (mininet, docker):
        assert (one.kind, one.state, one.detail) == (Kind.BACKEND, State.NO, f"no {one.name} here")
    assert mininet.remedy == "sudo apt-get install mininet"
    assert "setup/docker-engine.sh start" in docker.remedy


def test_containers_are_the_hosts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "trouble", lambda name: None if name == "mininet" else "none")
    mininet, docker = backends.find_backends()
    assert in_guest(mininet)
    assert not in_guest(docker)
    assert not compare((mininet, docker), find_guest()), "they are no matter of kernels"

"""The images of this repository: what their descriptions must have, and must not have."""

from __future__ import annotations

import re
import subprocess

import pytest

from testbed.images.sources import PackageList, context_files, image_names, package_lists
from tests.images.conftest import PROJECT

NAMES = image_names(PROJECT)
LISTS = package_lists(PROJECT)
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+) \\$", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")

# Capabilities that a container may be given beyond Docker's own, and never all of them.
_CAPABILITIES = {"NET_ADMIN", "NET_RAW", "SYS_ADMIN"}
_DEVICES = {"/dev/net/tun", "/dev/ppp"}


def _dockerfile(name: str) -> str:
    return (PROJECT / "images" / name / "Dockerfile").read_text()


def _instructions(name: str) -> list[list[str]]:
    joined = re.sub(r"\\\n", " ", _dockerfile(name))
    lines = (line.strip() for line in joined.splitlines())
    return [line.split() for line in lines if line and not line.startswith("#")]


def test_the_images_of_the_handbook_are_there() -> None:
    asked = {"base", "strongswan", "libreswan", "l2tp", "router", "dns", "web", "pppoe", "testbed"}
    assert set(NAMES) == asked


@pytest.mark.parametrize("name", NAMES)
def test_one_argument_chooses_the_base_of_every_stage(name: str) -> None:
    first, *rest = _instructions(name)
    assert first == ["ARG", "BASE=debian:bookworm-slim"]
    stages = [words for words in rest if words[0] == "FROM"]
    assert stages
    assert {words[1] for words in stages} == {"${BASE}"}


@pytest.mark.parametrize("name", NAMES)
def test_an_image_says_what_it_is_what_it_needs_and_how_it_is(name: str) -> None:
    text, words = _dockerfile(name), _instructions(name)
    labels = dict(re.findall(r'([a-z][a-z.]+)="([^"]*)"', text))
    assert labels["testbed.image"] == name
    assert labels["org.opencontainers.image.title"] == f"testbed/{name}"
    assert labels["org.opencontainers.image.description"]
    assert set(labels["testbed.capabilities"].split()) <= _CAPABILITIES
    assert set(labels["testbed.devices"].split()) <= _DEVICES
    kinds = [line[0] for line in words]
    assert kinds.count("HEALTHCHECK") == 1
    assert 'CMD ["health"]' in text
    assert kinds[-1] == "CMD"


@pytest.mark.parametrize("name", NAMES)
def test_packages_come_pinned_and_in_no_other_way(name: str) -> None:
    for words in _instructions(name):
        assert words[0] != "ADD", "COPY has no surprises"
        if words[0] == "RUN":
            assert not {"apt-get", "apt", "curl", "wget", "git", "dpkg"} & set(words), words
    assert "/usr/local/lib/testbed/install-packages" in _dockerfile(name)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_copied_is_in_the_context(name: str) -> None:
    files = set(context_files(PROJECT, name))
    for words in _instructions(name):
        if words[0] != "COPY" or words[1].startswith("--from"):
            continue
        for source in words[1:-1]:
            if "[" in source:  # may be missing
                continue
            assert source in files or any(file.startswith(f"{source}/") for file in files), source


@pytest.mark.parametrize("name", NAMES)
def test_the_context_names_no_host_and_holds_no_key(name: str) -> None:
    """Debian's base knows where Debian is; nothing else may be asked."""
    for path, file in context_files(PROJECT, name).items():
        if not path.startswith("images/"):
            continue
        text = file.read_text()
        assert not re.search(r"(https?|ftp)://(?!127\.0\.0\.1/)", text), path
        assert not re.search(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n", text), path
        assert not re.search(r"(?i)\b(password|secret|token)\s*[=:]\s*\S", text), path


@pytest.mark.parametrize("name", NAMES)
def test_start_and_health_are_scripts_that_parse(name: str) -> None:
    folder = PROJECT / "images" / name
    scripts = [folder / "health"] if name == "testbed" else [folder / "start", folder / "health"]
    for script in scripts:
        assert script.stat().st_mode & 0o111, script
        assert script.read_text().startswith("#!/bin/sh\n")
        subprocess.run(["sh", "-n", str(script)], check=True)


@pytest.mark.parametrize("packages", LISTS, ids=lambda item: item.folder.name)
def test_every_package_is_pinned_with_all_that_base_has(packages: PackageList) -> None:
    """Fails when a package was added without ``make lock-images``."""
    pinned = packages.pinned()
    assert set(packages.wanted()) <= set(pinned)
    assert list(pinned) == sorted(pinned)
    base = PackageList(PROJECT / "images" / "base").pinned()
    shared = {name: version for name, version in pinned.items() if name in base}
    assert shared == base, "an image of other versions than its base cannot be built on it"


def test_python_packages_are_those_of_the_project_with_hashes() -> None:
    own = (PROJECT / "images" / "testbed" / "requirements.lock").read_text()
    everything = (PROJECT / "requirements.lock").read_text()
    pins = _PIN.findall(own)
    assert set(pins) <= set(_PIN.findall(everything))
    blocks = re.split(r"^(?=[A-Za-z0-9])", own, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(pins)
    assert all(_HASH.search(block) for block in blocks)
    assert "://" not in own


def test_nothing_but_what_an_image_is_made_of_is_sent_to_a_plain_docker_build() -> None:
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    used = {path.split("/")[0] for name in NAMES for path in context_files(PROJECT, name)}
    assert let_in == used
    assert all((PROJECT / name).exists() for name in let_in)


def test_what_stays_of_a_start_script_is_one_process() -> None:
    """So that `docker stop` reaches the daemon itself."""
    for name in NAMES:
        start = PROJECT / "images" / name / "start"
        if start.exists():
            assert re.search(r"^\s*exec ", start.read_text(), re.MULTILINE), name

"""A whole system for qemu in one initramfs: Debian's cloud kernel, what the labs run, our sources.

Nothing is installed: the kernel's package is fetched and unpacked, the programs are this machine's.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import TestbedError

_KERNEL = "linux-image-cloud-amd64"
_MODULE_TOOLS = ("kmod", "libkmod2")
_PROGRAMS = (
    *("/usr/bin/python3.11", "/usr/bin/ping", "/bin/sh", "/bin/mkdir", "/bin/cat"),
    *("/usr/sbin/ip", "/usr/sbin/nft", "/usr/sbin/charon-systemd"),
)
_FOLDERS = ("/usr/lib/ipsec", "/usr/lib/python3.11", "/etc/strongswan.d")
_FILES = (
    *("/etc/strongswan.conf", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf"),
    *("/etc/protocols", "/etc/services", "/etc/iproute2/rt_tables"),
)
_MODULES = ("net", "crypto", "arch/x86/crypto", "lib", "fs/overlayfs")
_DRIVERS = ("veth", "tun", "dummy", "bonding", "ifb")
_LEFT_OUT = ("test", "idlelib", "tkinter", "lib2to3", "ensurepip", "config-3.11-x86_64-linux-gnu")
_EMPTY = ("proc", "sys", "dev", "run", "tmp", "var/tmp", "root", "testbed", "mnt", "opt/testbed")


class ImageError(TestbedError):
    """The image cannot be made on this machine."""


@dataclass(frozen=True, slots=True)
class Image:
    """A kernel and the system it starts with."""

    kernel: Path
    initramfs: Path
    release: str


def make_image(folder: Path, code: Path, packages: Iterable[Path]) -> Image:
    """Fetch the kernel and pack the system.

    Args:
        folder: for all of it.
        code: the folder with the sources to run, which will be at ``/opt/testbed/code``.
        packages: folders of Python packages that these need.

    Raises:
        ImageError: a program is missing, or the package cannot be had.
    """
    kernel = _fetch(folder / "kernel", _image_package())
    tools = _fetch(folder / "tools", *_MODULE_TOOLS)
    release = next((kernel / "lib/modules").iterdir()).name
    root = folder / "root"
    for path in _closure():
        _copy(path, root)
    for name in _FOLDERS:
        if Path(name).is_dir():
            _copy_tree(Path(name), root)
    for name in _FILES:
        if Path(name).exists():
            _copy(Path(name), root)
    for name in _EMPTY:
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copytree(code, root / "opt/testbed/code", symlinks=True)
    for package in packages:
        shutil.copytree(package, root / "opt/testbed/packages" / package.name)
    shutil.copy2(tools / "bin/kmod", root / "usr/sbin/kmod")
    (root / "usr/sbin/modprobe").symlink_to("kmod")
    for path in tools.glob("usr/lib/*/libkmod.so.*"):
        shutil.copy2(path, root / "lib" / path.name)
    _copy_modules(kernel / "lib/modules" / release, root / "lib/modules" / release)
    _run("depmod", "--basedir", str(root), release, program=root / "usr/sbin/kmod")
    init = root / "init"
    init.write_text(
        "#!/usr/bin/python3.11 -ISB\n"
        'import sys; sys.path[:0] = ["/opt/testbed/code", "/opt/testbed/packages"]\n'
        "from bench.virtual.qemu_init import main; main()\n"
    )
    init.chmod(0o755)
    initramfs = folder / "initramfs.gz"
    with gzip.open(initramfs, "wb", compresslevel=1) as packed:
        for block in _cpio(root):
            packed.write(block)
    shutil.rmtree(root)
    return Image(next((kernel / "boot").glob("vmlinuz-*")), initramfs, release)


def _image_package() -> str:
    """The package with the newest kernel of the flavour."""
    depends = _run("apt-cache", "depends", _KERNEL)
    package = re.search(r"Depends: (linux-image-\S+)", depends)
    if package is None:
        raise ImageError(f"apt knows no {_KERNEL}", hint="apt-get update")
    return package[1]


def _fetch(folder: Path, *packages: str) -> Path:
    """Download packages and unpack them into a folder of their own."""
    folder.mkdir()
    _run("apt-get", "download", "--quiet", *packages, folder=folder)
    for archive in folder.glob("*.deb"):
        _run("dpkg-deb", "--extract", str(archive), str(folder))
    return folder


def _closure() -> Iterator[Path]:
    """The programs, and every library that they and their plugins load."""
    wanted = [Path(name) for name in _PROGRAMS]
    missing = [str(path) for path in wanted if not path.exists()]
    if missing:
        raise ImageError(f"not on this machine: {', '.join(missing)}", hint="make setup")
    yield from wanted
    plugins = [*Path("/usr/lib/ipsec/plugins").glob("*.so")]
    modules = [*Path("/usr/lib/python3.11/lib-dynload").glob("*.so")]
    libraries: set[Path] = {Path("/lib64/ld-linux-x86-64.so.2")}
    for path in (*wanted, *plugins, *modules):
        done = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False)
        libraries |= {Path(name) for name in re.findall(r"(?:=> )?(/\S+) \(0x", done.stdout)}
    yield from sorted(libraries)


def _copy(path: Path, root: Path) -> None:
    """A file to the same place below the root, and where its symbolic links lead."""
    target = root / path.relative_to("/")
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, target)  # the file itself, by whatever links it is reached


def _copy_tree(folder: Path, root: Path) -> None:
    def left_out(_folder: str, names: list[str]) -> set[str]:
        return {name for name in names if name in _LEFT_OUT}

    target = root / folder.relative_to("/")
    shutil.copytree(folder, target, ignore=left_out, dirs_exist_ok=True)


def _copy_modules(source: Path, target: Path) -> None:
    for name in _MODULES:
        if (source / "kernel" / name).is_dir():
            shutil.copytree(source / "kernel" / name, target / "kernel" / name)
    for path in source.glob("kernel/drivers/net/**/*.ko*"):
        if path.name.partition(".")[0] in _DRIVERS:
            (target / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target / path.relative_to(source))
    for path in source.glob("modules.*"):
        shutil.copy2(path, target)


def _cpio(root: Path) -> Iterator[bytes]:
    """The folder as an archive of the kind the kernel reads ("newc")."""
    paths = sorted(root.rglob("*"))
    for number, path in enumerate(paths, 1):
        about = path.lstat()
        content = b""
        if stat.S_ISLNK(about.st_mode):
            content = os.fsencode(path.readlink())
        elif stat.S_ISREG(about.st_mode):
            content = path.read_bytes()
        yield from _entry(str(path.relative_to(root)), number, about.st_mode, content)
    yield from _entry("TRAILER!!!", 0, 0, b"")


def _entry(name: str, number: int, mode: int, content: bytes) -> Iterator[bytes]:
    encoded = os.fsencode(name) + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    yield head + bytes(-len(head) % 4)
    yield content + bytes(-len(content) % 4)


def _run(*command: str, folder: Path | None = None, program: Path | None = None) -> str:
    """Run a command; ``program`` is a file that is it, with its libraries beside it."""
    environment = dict(os.environ)
    if program is not None:
        environment["LD_LIBRARY_PATH"] = str(program.parents[2] / "lib")
    try:
        done = subprocess.run(
            command,
            executable=program,
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env=environment,
            timeout=300,
        )
    except FileNotFoundError as error:
        raise ImageError(f"there is no {command[0]} here") from error
    if done.returncode != 0:
        raise ImageError(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
    return done.stdout

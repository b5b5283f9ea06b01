"""Programs out of Debian's packages, unpacked beside the Python environment: no install, no service, no root.

`apt-get` is asked for a package and what it needs beyond that which is on the machine. Where the machine's own package
lists are missing, old or without the package, fresh ones are fetched into a temporary folder, with the release's
backports from the same mirror added. Nothing outside the environment changes, and `make clean` deletes it.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import Unavailable, locked, within_reach

_CACHE = Path(sys.prefix) / "servers"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


@dataclass(frozen=True)
class Program:
    """A program to run. `root` is where it and its libraries were unpacked; None if the machine has it."""

    path: Path
    root: Path | None = None

    @property
    def prefix(self) -> Path:
        """The folder with its `bin` and `share`."""
        return self.root / "usr" if self.root else self.path.resolve().parents[1]

    @property
    def environment(self) -> dict[str, str]:
        """What it needs to find its libraries."""
        if not self.root:
            return {}
        folders = [*self.root.glob("usr/lib/*-linux-*"), *self.root.glob("lib/*-linux-*")]
        return {"LD_LIBRARY_PATH": os.pathsep.join(map(str, folders))}

    def within_reach(self, folder: Path) -> Program:
        """This program where an unprivileged user can run it, if need be as a copy in `folder`."""
        if not self.root:
            return self
        root = within_reach(self.root, folder)
        return Program(root / self.path.relative_to(self.root), root)


def program(name: str, package: str) -> Program:
    """The program `name`: from PATH, or else out of Debian's `package`; raises `Unavailable` where there is neither."""
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *_SBIN]))
    if path:
        return Program(Path(path))
    root = _unpacked(package)
    return Program(next(root.glob(f"usr/*bin/{name}")), root)


def is_debian() -> bool:
    """Whether this is the platform on which every server must be had."""
    return _release().get("ID") == "debian"


def _release() -> dict[str, str]:
    with suppress(OSError):
        return platform.freedesktop_os_release()
    return {}


def _unpacked(package: str) -> Path:
    """The folder that holds Debian's `package` and the libraries that it needs, fetched on first use."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Unavailable(f"There is no {package} here. Install it, or run the tests on Debian, which bring their own.")
    root = _CACHE / package
    with locked(_CACHE / f"{package}.lock"):
        if not root.exists():
            _fetch(package, root)
    return root


def _fetch(package: str, root: Path) -> None:
    with tempfile.TemporaryDirectory(dir=_CACHE, ignore_cleanup_errors=True) as name:
        work = Path(name)
        debs = _downloaded(package, work)
        for deb in debs:
            subprocess.run(["dpkg-deb", "-x", deb, work / "root"], check=True)
        (work / "root").rename(root)


def _downloaded(package: str, work: Path) -> list[Path]:
    said = ""
    for options in _ways(work):
        fetched = _apt(work, *options, "install", "--yes", "--download-only", "--no-install-recommends", package)
        if fetched.returncode == 0:
            return sorted((work / "debs").glob("*.deb"))
        said = fetched.stderr.strip()
    raise Unavailable(f"apt-get cannot get {package}. Install it, or mend what apt-get says:\n{said}")


def _ways(work: Path) -> Iterator[list[str]]:
    """Options that name the package lists to use: the machine's own, then fresh ones."""
    yield []
    fresh = [f"-oDir::State::lists={work / 'lists'}", f"-oDir::Etc::sourceparts={_sources(work)}"]
    (work / "lists" / "partial").mkdir(parents=True)
    _apt(work, *fresh, "update")
    yield fresh


def _apt(work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (work / "debs" / "partial").mkdir(parents=True, exist_ok=True)
    ours = [f"-oDir::Cache={work}", f"-oDir::Cache::archives={work / 'debs'}/"]
    unlocked = ["-oDebug::NoLocking=true", f"-oAPT::Sandbox::User={_me()}"]
    return subprocess.run(["apt-get", "-qq", *ours, *unlocked, *arguments], capture_output=True, text=True)


def _me() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


def _sources(work: Path) -> Path:
    """A copy of the machine's further package sources, and the backports of its mirror."""
    folder = work / "sources"
    folder.mkdir()
    for file in Path("/etc/apt/sources.list.d").glob("*"):
        shutil.copy(file, folder)
    signed = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
    lines = [f"deb {signed}{mirror} {codename}-backports main\n" for mirror, codename in _mirrors()]
    (folder / "backports.list").write_text("".join(lines))
    return folder


def _mirrors() -> list[tuple[str, str]]:
    """Where the machine gets its release from, and the name of that release."""
    codename = _release().get("VERSION_CODENAME", "")
    query = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]
    listed = subprocess.run(query, capture_output=True, text=True).stdout.splitlines()
    pairs = {(mirror, release) for mirror, _, release in (line.rpartition(" ") for line in listed)}
    return sorted(pair for pair in pairs if pair[1] == codename)

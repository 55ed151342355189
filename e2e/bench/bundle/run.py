"""Joins and unpacks the parts of the benchmark, and runs it. Python 3.9 or newer, Linux on x86-64 with a graphics card.

    python3 run.py [--folder FOLDER] [options of the benchmark]

Unpacks into FOLDER, /tmp/rivulet-bench by default, unless that is done. The results are FOLDER/results.json and the table
that is printed. The options: --models, --only, --contexts, --rounds, --minutes, --software, --f16 (see the benchmark's README).
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent


class Joined:
    """The parts as one stream of bytes."""

    def __init__(self, parts: list[Path]) -> None:
        self._files: Iterator[IO[bytes]] = (part.open("rb") for part in parts)
        self._file: IO[bytes] | None = next(self._files, None)

    def read(self, size: int) -> bytes:
        while self._file is not None:
            data = self._file.read(size)
            if data:
                return data
            self._file.close()
            self._file = next(self._files, None)
        return b""


def unpack(folder: Path) -> None:
    """Writes the marker last: a folder that contains it is complete."""
    marker = folder / "unpacked"
    if marker.exists():
        return
    parts = sorted(HERE.glob("bench.tar.xz.*"))
    counts = {part.suffix.split("-of-")[1] for part in parts}
    if counts != {f"{len(parts):02}"}:
        sys.exit(f"{HERE} has {len(parts)} parts, of {', '.join(sorted(counts)) or 'none'}. Copy all parts beside run.py.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=Joined(parts), mode="r|xz") as archive:
        archive.extractall(folder)
    marker.touch()


def library_path(folder: Path) -> str:
    """The libraries of the packing machine. Its C++ library only if this machine has none: a driver may need a newer one."""
    folders = [folder / "lib"]
    try:
        ctypes.CDLL("libstdc++.so.6")
    except OSError:
        folders.append(folder / "lib-cxx")
    return os.pathsep.join([*map(str, folders), os.environ.get("LD_LIBRARY_PATH", "")])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/rivulet-bench"), help="where to unpack")
    arguments, options = parser.parse_known_args()
    folder: Path = arguments.folder
    unpack(folder)
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": library_path(folder),
        "FONTCONFIG_FILE": str(folder / "fonts.conf"),
    }
    driver = [str(folder / "node"), str(folder / "driver/driver.mjs"), *options]
    sys.exit(subprocess.run(driver, env=environment, check=False).returncode)


if __name__ == "__main__":
    main()

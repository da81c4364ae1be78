"""Copy the CRDs into `charts/modelvane`, which installs them (`make crds`).

A chart can only read files below its own folder, so it needs a copy. `--check` compares instead of writing and is
part of `make lint`: the two never differ in a commit.
"""

from __future__ import annotations

import sys
from pathlib import Path

SOURCE = Path(__file__).parent
COPY = SOURCE.parent / "charts" / "modelvane" / "files" / "crds"


def read(folder: Path) -> dict[str, str]:
    """Return the CRDs of a folder by file name."""
    return {path.name: path.read_text() for path in sorted(folder.glob("*.yaml"))}


def main(arguments: list[str]) -> int:
    """Write the copies, or with `--check` say which of them are stale."""
    wanted, present = read(SOURCE), read(COPY)
    stale = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    if arguments == ["--check"]:
        for name in stale:
            print(f"{COPY / name} differs from {SOURCE / name}: run `make crds`", file=sys.stderr)
        return 1 if stale else 0
    if arguments:
        print("usage: python -m crds.sync [--check]", file=sys.stderr)
        return 2
    COPY.mkdir(parents=True, exist_ok=True)
    for name in stale:
        if name in wanted:
            (COPY / name).write_text(wanted[name])
        else:
            (COPY / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

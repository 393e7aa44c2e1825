"""Which program read back what `cryo-pick export` wrote, with versions and the largest error.

Run ``python -m benchmarks.formats`` from the project's folder; it writes the table of
docs/formats.md between its two marks, and prints it. Two tomograms of 41 x 63 x 64 voxels of
10.012 Å, binned by 4 from sizes that 4 divides only once, with 48 picks of six classes.
Environments for other programs are made once, which needs a package registry.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from cryo_pick.files import write_text_atomic
from cryo_pick.formats.exchange import FORMATS
from cryo_pick.pipeline.volumes import VOLUMES as VOLUME_FORMATS
from tests.reference import environments, readers
from tests.reference.format_scene import (
    HERE,
    OUTPUTS,
    PRERELEASE,
    READINGS,
    STABLE,
    VOLUMES,
    Reading,
    Scene,
    export,
    largest_error,
    make_scene,
)

DOC = Path(__file__).parents[1] / "docs" / "formats.md"
BEGIN, END = "<!-- benchmarks/formats.py writes from here -->", "<!-- to here -->"
PACKAGES = {STABLE: environments.STABLE, PRERELEASE: environments.PRERELEASE}
PLAIN = {
    "eman": "EMAN2 is not on PyPI; its JSON by the formula of e2spt_boxer",
    "imod": "IMOD is not on PyPI; the text as a table, by 3dmod's convention",
    "chimerax": "ChimeraX is not on PyPI; the markers as XML",
    "warp": "WarpTools is not on PyPI; the STAR by starfile",
}
"""Formats whose own program could not be had."""


def read(scene: Scene, reading: Reading) -> dict[str, Any]:
    """What a program returns, run here or in its environment."""
    places = [scene.folder / a for a in reading.arguments]
    words = [str(p) if p.exists() else a for p, a in zip(places, reading.arguments, strict=True)]
    if reading.where == HERE:
        return readers.read(reading.reader, *words)
    python = environments.python_with(PACKAGES[reading.where])
    return environments.read_with(python, reading.reader, *words)


def rows(scene: Scene, here: bool) -> list[list[str]]:
    """Format, program with version, what came back; `here`: only programs of this environment."""
    names = {f.name: f.help for f in FORMATS} | VOLUME_FORMATS | {"copick": "copick project"}
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for reading in READINGS:
        if here and reading.where != HERE:
            continue
        result = read(scene, reading)
        expected = scene.points(with_score=reading.format != "kaggle")
        error = largest_error(result["points"], expected)
        what = f"{len(expected)} picks, classes and scores, within {error:.6f} Å"
        if reading.format == "kaggle":
            what = what.replace(" and scores", "")
        found[reading.format].append((result["version"], what))
    for reading in VOLUMES:
        if here and reading.where != HERE:
            continue
        result = read(scene, reading)
        z, y, x, spacing, total = result["points"]
        same = [z, y, x] == list(scene.volume.shape)
        off = abs(total - float(scene.volume.astype(float).sum()))
        what = f"volume {z} x {y} x {x} at {spacing:.3f} Å, sum off by {off:.0e}"
        found[reading.format].append((result["version"], what if same else "another shape"))
    return [
        [f"`{name}`: {names[name]}", version, what + (f" ({PLAIN[name]})" if name in PLAIN else "")]
        for name, several in found.items()
        for version, what in several
    ]


def table(lines: list[list[str]]) -> str:
    """Markdown."""
    head = ["| format | read back by | what came back |", "|---|---|---|"]
    return "\n".join(head + [f"| {' | '.join(line)} |" for line in lines])


def main() -> None:
    """Export, read back, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print-only", action="store_true", help="leave docs/formats.md as it is")
    parser.add_argument("--here", action="store_true", help="only programs of this environment")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scene = make_scene(Path(folder))
        for format_ in OUTPUTS:
            if export(scene, format_):
                raise SystemExit(f"export --to {format_} failed")
        text = table(rows(scene, args.here))
    print(text)
    if not args.print_only:
        before, rest = DOC.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        write_text_atomic(DOC, f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


if __name__ == "__main__":
    main()

"""docs/bad-input.md, written from the cases themselves.

python -m tests.bad_input.table     # run every case and write the table
"""

from __future__ import annotations

import itertools
import re
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.bad_input import bundles, commands, picks, projects, volumes
from tests.bad_input.case import CASES, Outcome, run_case

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "bad-input.md"
MODULES = (volumes, projects, picks, bundles, commands)

INTRODUCTION = """\
# What bad input gets

<!-- Written by `make bad-input` from tests/bad_input; don't change it here. -->

Every row is a test: the command is run on the input, and its exit code and message are those shown.
No row ends in a traceback, changes a file outside the output folder, or leaves half a file in it.
Paths are relative to the folder of the input; `make test` runs all {n} rows. Exit codes: 2 the
command line or a setting, 3 input data, 4 some runs failed and the others were done
(docs/conventions.md lists them all).

A tomogram, a picks file or a bundle may come from a stranger. None of them can run code: weights
are safetensors, metadata is JSON or YAML without tags, arrays are numbers, and networks, losses and
codecs are chosen from lists. Nor can they take all memory: what a file promises is compared with
what it holds before anything is decoded. Reading follows links, as tomograms are often linked from
where they were made; nothing is written through a link that leads out of a project, and a bundle's
weights must lie inside the bundle.
"""


def table(outcomes: Mapping[tuple[str, str], Outcome]) -> str:
    """The document: one table per group."""
    parts = [INTRODUCTION.format(n=len(CASES))]
    for group, rows in itertools.groupby(CASES, key=lambda row: row.group):
        parts.append(f"\n## {group}\n\n| input | command | exit | message |\n|---|---|---|---|\n")
        for row in rows:
            found = outcomes[row.group, row.name]
            message = "<br>".join(_code(line) for line in found.message.splitlines())
            command = _code(shlex.join(["cryo-pick", *map(_shortened, found.words)]))
            parts.append(f"| {row.name} | {command} | {found.code} | {message} |\n")
    return "".join(parts)


def _shortened(word: str) -> str:
    """A word of the command line; the longest ones are cut."""
    return word if len(word) <= 60 else f"{word[:40]}..."


def _code(text: str) -> str:
    """Text as code inside a table."""
    text = re.sub(r"\s+", " ", text).strip().replace("|", "\\|")
    text = re.sub(r"known: [^;]*$", "known: ...", text)  # what there is grows; the rest stays
    text = re.sub(r"closest: ([^,;]+),[^;]*$", r"closest: \1, ...", text)
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        found = {
            (row.group, row.name): run_case(row, root / str(n), root / "templates")
            for n, row in enumerate(CASES)
        }
    DOCUMENT.write_text(table(found), encoding="utf-8")
    print(f"{DOCUMENT}: {len(found)} rows")


if __name__ == "__main__":
    main()

"""Each bad input gets its exit code and one clear message, and does no harm."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.bad_input.case import CASES, Case, Outcome, run_case
from tests.bad_input.table import DOCUMENT, table

# A result of some sort; a command that fails makes none of them. One that ends with 4 makes those
# of the other runs.
RESULTS = re.compile(r"(csv|star|npz|html|json|mrc|safetensors|zarr.*)$")
KEPT = re.compile(
    r"out/(config\.yaml|environment\.json|run\.log|bundle\.json|plan\.json|summary\.json"
    r"|runs/[^/]+/failed\.json)|cache/.*\.npy|cache/(geometries|networks|receptive-fields)/.*\.json"
)
PARTIAL = 4


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Outcome]:
    """Filled by the cases as they are run."""
    return {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad-input")


def _outcome(row: Case, found: dict[tuple[str, str], Outcome], folder: Path) -> Outcome:
    key = row.group, row.name
    if key not in found:
        found[key] = run_case(row, folder / str(CASES.index(row)), folder / "templates")
    return found[key]


@pytest.mark.parametrize("row", CASES, ids=lambda row: f"{row.group}: {row.name}")
def test_a_bad_input(row: Case, outcomes: dict[tuple[str, str], Outcome], folder: Path) -> None:
    found = _outcome(row, outcomes, folder)
    assert found.code == row.code, found.stderr
    assert "Traceback" not in found.stderr
    assert "bug:" not in found.stderr
    missing = [piece for piece in row.holds if piece not in found.message]
    assert not missing, found.message
    assert not found.changed
    left = [name for name in found.written if not KEPT.fullmatch(name)]
    assert not [name for name in left if ".tmp" in name]
    if row.code != PARTIAL:
        assert not [name for name in left if RESULTS.search(name)]


def test_the_table_is_long_enough_and_its_rows_are_distinct() -> None:
    assert len(CASES) >= 60
    assert max(Counter((row.group, row.name) for row in CASES).values()) == 1
    assert all(row.holds for row in CASES)


def test_the_document_is_up_to_date(outcomes: dict[tuple[str, str], Outcome], folder: Path) -> None:
    for row in CASES:
        _outcome(row, outcomes, folder)
    expected, found = table(outcomes), DOCUMENT.read_text(encoding="utf-8")
    if sys.version_info[:2] != (3, 11):  # json and argparse word their messages by version
        expected, found = (re.sub(r"\| [^|]* \|$", "", t, flags=re.M) for t in (expected, found))
    assert found == expected, "docs/bad-input.md is out of date: make bad-input"

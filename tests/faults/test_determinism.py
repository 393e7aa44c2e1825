"""Identical picks, however the work is divided."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from cryo_pick.cli import main
from detector import engine_torch, read_tiles
from tests.faults.conftest import done, picks, words
from tests.faults.tiny import write_tomograms

TILES = ["infer.tile=[16,32,32]", "infer.overlap=[8,8,8]"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tomograms(tmp_path_factory.mktemp("wide") / "tomograms", 2, (24, 72, 72))


@pytest.fixture(scope="module")
def expected(
    inputs: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[bytes]:
    out = tmp_path_factory.mktemp("expected") / "out"
    assert main(words(inputs, tiny_bundle, out, *TILES)) == 0
    assert picks(out).count("\n") > 50
    return _results(out)


def _results(out: Path) -> list[bytes]:
    return [(out / "picks.csv").read_bytes()]


def test_tile_order(
    inputs: Path, tiny_bundle: Path, expected: list[bytes], tmp_path: Path, monkeypatch
) -> None:
    def backwards(z, y, x):  # the slabs need z to rise; inside a slab any order will do
        return [(i, j, k) for i in z for j, k in reversed(list(itertools.product(y, x)))]

    orders = []

    class Tools:
        cycle, zip_longest = itertools.cycle, itertools.zip_longest

        @staticmethod
        def product(*ranges):
            orders.append(backwards(*ranges))
            return orders[-1]

    monkeypatch.setattr(read_tiles, "itertools", Tools)
    assert main(words(inputs, tiny_bundle, tmp_path / "out", *TILES)) == 0
    assert len(orders) == 2
    assert len(orders[0]) > 8
    assert _results(tmp_path / "out") == expected


@pytest.mark.parametrize(("tiles", "patches"), [(2, 1), (1, 7), (2, 64)])
def test_batch_size(
    tiles: int,
    patches: int,
    inputs: Path,
    tiny_bundle: Path,
    expected: list[bytes],
    tmp_path: Path,
    monkeypatch,
) -> None:
    real = engine_torch.TorchEngine.__init__

    def batched(self, *args, **named):
        real(self, *args, **named)
        self.batch = tiles

    monkeypatch.setattr(engine_torch.TorchEngine, "__init__", batched)
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    values = json.loads((bundle / "bundle.json").read_text())
    values["refiner"]["batch_size"] = patches
    (bundle / "bundle.json").write_text(json.dumps(values))
    assert main(words(inputs, bundle, tmp_path / "out", *TILES)) == 0
    mine, theirs = (_rows(text) for text in (_results(tmp_path / "out")[0], expected[0]))
    assert [row[:3] for row in mine] == [row[:3] for row in theirs]
    # Libraries sum in another order for another size of batch: 0.0001 Å, the last digit written.
    numbers = [np.array([row[3:] for row in rows], float) for rows in (mine, theirs)]
    np.testing.assert_allclose(numbers[0], numbers[1], atol=2.1e-4)


def _rows(text: bytes) -> list[list[str]]:
    return list(csv.reader(text.decode().splitlines()))[1:]


def test_threads(inputs: Path, tiny_bundle: Path, expected: list[bytes], tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1 if before > 1 else 2)
    try:
        assert main(words(inputs, tiny_bundle, tmp_path / "out", *TILES)) == 0
    finally:
        torch.set_num_threads(before)
    assert _results(tmp_path / "out") == expected


def test_workers(inputs: Path, tiny_bundle: Path, expected: list[bytes], tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="needs the extra `cluster`")
    local = ["cluster=local", "cluster.workers=2", "cluster.gpus=0"]
    assert main(words(inputs, tiny_bundle, tmp_path / "out", *TILES, *local)) == 0
    assert _results(tmp_path / "out") == expected
    assert len(done(tmp_path / "out")) == 2

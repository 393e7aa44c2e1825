"""`bench` on sizes that take no time: what it counts is right, whatever the machine."""

import json

import pytest

from cryo_pick.cli import main
from cryo_pick.pipeline.bench import Measured

SMALL = ["--size", "16", "16", "16", "--candidates", "500", "--repeats", "1"]
SETTINGS = [
    "model.params={channels:[8,8],blocks:[1,1]}", "infer.engine=torch", "train.crop=[16,16,16]",
    "train.optimizer.batch_size=1", "infer.accelerator=cpu",
]  # fmt: skip


def test_every_kind_is_measured_and_its_ratio_is_of_its_ceiling(capsys):
    assert main(["bench", "--json", *SMALL, *SETTINGS]) == 0
    rows = json.loads(capsys.readouterr().out)
    said = " ".join(row["name"] for row in rows)
    assert all(word in said for word in ("detector", "training", "peaks", "threshold"))
    for row in rows:
        assert min(row["per_second"], row["reached"], row["ceiling"]) > 0
        assert row["ratio"] == pytest.approx(row["reached"] / row["ceiling"])


def test_one_kind_as_a_table(capsys):
    assert main(["bench", "peaks", *SMALL]) == 0
    said = capsys.readouterr().out
    assert "peaks, dense" in said
    assert "training" not in said


def test_an_unknown_kind_is_refused(capsys):
    assert main(["bench", "speed"]) == 2
    assert "expected infer, peaks, thresholds, train, but got speed" in capsys.readouterr().err
    assert main(["bench", "peaks", "--repeats", "0"]) == 2


def test_a_share_is_of_the_ceiling():
    assert Measured("", 1.0, 30.0, 60.0, "FLOP/s").ratio == 0.5

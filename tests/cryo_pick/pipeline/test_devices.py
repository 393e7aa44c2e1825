"""`detector train` by two processes under torchrun, against one with twice the batch."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from cryo_pick.cli import main
from cryo_pick.config import compose
from cryo_pick.pipeline.whole import fold_slots
from detector.cli import main as detector
from tests.cryo_pick.pipeline.conftest import SMOKE

STEPS = 41
SCRIPT = "from detector.cli import main; raise SystemExit(main())"


def words(project: Path, out: Path, batch: int, devices: int) -> list[str]:
    """No batch norm, whose statistics are those of each process's own batch."""
    return [
        "train", f"data={project}", "fold=0", f"out={out}", *SMOKE, "model=unet_half",
        "model.params.stem=4", "model.params.channels=[4,4,4,4]", "train.crop=[16,16,16]",
        f"train.optimizer.steps={STEPS}", f"train.optimizer.batch_size={batch}",
        "train.optimizer.precision=fp32", f"devices={devices}",
    ]  # fmt: skip


def losses(out: Path) -> dict[int, float]:
    with (out / "work" / "metrics.csv").open() as file:
        return {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file)}


def test_folds_side_by_side_end_as_in_turn(bundle: Path, project: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    chosen = ["train.folds_at_once=2", "train.optimizer.precision=auto"]
    assert main(["train", str(project), "--out", str(out), *SMOKE, *chosen]) == 0
    for stage in ("detector", "refiner"):
        for fold in (0, 1):
            a, b = (p / stage / f"fold{fold}.safetensors" for p in (bundle, out))
            first, second = load_file(a), load_file(b)
            for name, value in first.items():  # each process had fewer threads
                np.testing.assert_allclose(second[name], value, atol=1e-3, err_msg=name)


def test_there_is_a_place_for_each_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def slots(*words: str) -> list[dict[str, str]]:
        return fold_slots(compose(list(words)), 4)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert slots() == [{}]
    assert slots("train.folds_at_once=9") == [{}] * 4
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert slots() == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    assert slots("train.optimizer.accelerator=cpu") == [{}]
    assert len(slots("devices=2")) == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert [s["CUDA_VISIBLE_DEVICES"] for s in slots("train.folds_at_once=3")] == ["5", "7", "5"]


@pytest.mark.slow
def test_two_processes_learn_what_one_with_twice_the_batch_does(
    project: Path, tmp_path: Path
) -> None:
    script = tmp_path / "detector_cli.py"
    script.write_text(SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, str(script), *words(project, tmp_path / "two", 1, 2)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert detector(words(project, tmp_path / "one", 2, 1)) == 0
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert list(one) == list(two) == [20, 40, STEPS]
    np.testing.assert_allclose(list(two.values()), list(one.values()), rtol=1e-5)
    # The first process alone wrote the folder and talked.
    log = (tmp_path / "two" / "run.log").read_text()
    assert log.count("detector of fold 0: ") == 1
    assert done.stdout.count("weights: ") == 1
    names = [sorted(p.name for p in (tmp_path / n).rglob("*")) for n in ("one", "two")]
    assert names[0] == names[1]

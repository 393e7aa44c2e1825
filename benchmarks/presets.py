r"""Every preset on one project for the same time, alone and in ensembles.

    python benchmarks/presets.py TRAIN JUDGE WORK --minutes 4 --runs 3

Each preset is trained on the first RUNS runs of the project TRAIN; the run after them gives its
quantile table; it is judged on the runs of JUDGE. On a CPU the challenge's crops and batches would
leave time for few steps, so each step sees two crops of about 150,000 voxels; all else is as the
preset says. Printed: one row per preset, with weighted F4 at the best possible thresholds, F4 by
class, parameters, cost and speed, and F4 and speed of the same weights in int8, where the CPU has
it; then the best pair and the best triple among the best presets, with scores as they are and with
scores matched. What is done is kept in WORK: run again, it goes
on. Run it with nothing else on the machine.

A preset that gets nowhere in that time still learns: tests/detector/test_presets.py trains each,
with fewer channels, on one small volume until it finds all that is there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from cryo_pick.candidates import Candidates
from cryo_pick.config import Config, compose
from cryo_pick.overrides import group_options
from cryo_pick.pipeline.dataset import DataRun, Dataset, load_dataset
from cryo_pick.pipeline.heatmaps import find_candidates
from cryo_pick.pipeline.int8_ranges import int8_ranges
from detector.candidates import heatmap_candidates
from detector.engine import Engine, make_engine, precision_in_force
from detector.heatmap import Heatmap
from detector.members import HEATMAP_STRIDE, at_heatmap_stride, coarsen
from detector.parts import output_stride
from detector.quantiles import fit_table, match_scores
from detector.settings import CandidatesSettings
from detector.train import train_detector, training_run
from metrics.counts import weighted_mean
from metrics.curves import hits_per_class
from refiner.blend import Blend, scored_picks

CROPS = {"convnext_nano_25d": [16, 96, 96], "slices": [16, 96, 96]}
"""Training crops on a CPU, by preset: as deep as its own where that is less than the others'."""
CROP = [32, 64, 64]
"""Of all others."""
BATCH = 2
"""The fewest that mixup can mix."""


def main() -> None:
    """Train and judge every preset; print the table and the best ensembles."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("train")
    parser.add_argument("judge")
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--runs", type=int, default=3, help="to train on; the next one calibrates")
    parser.add_argument("--judge-runs", type=int, help="the first of the judge project only")
    parser.add_argument("--presets", nargs="+", default=group_options()["model"])
    parser.add_argument("--best", type=int, default=5, help="presets that ensembles are made of")
    parser.add_argument("settings", nargs="*", help="key=value, for every preset")
    args = parser.parse_intermixed_args()
    data = load_dataset(compose([f"data={args.train}"]))
    runs = list(data.runs.values())
    judge = load_dataset(compose([f"data={args.judge}"]))
    judge = Dataset(judge.types, dict(list(judge.runs.items())[: args.judge_runs]))
    print(
        "| preset | weighted F4 | F4 by class | parameters | kFLOP per voxel | crop | steps "
        "| training Mvoxel/s | inference s per 100 Mvoxel | in int8 | weighted F4 in int8 |\n"
        + "|---" * 11
        + "|",
        flush=True,
    )
    scores = {n: _one(n, args, data, runs, judge, args.work / n) for n in args.presets}
    best = sorted(scores, key=lambda n: -scores[n])[: args.best]
    print("\n| ensemble | scores | weighted F4 | F4 by class |\n" + "|---" * 4 + "|")
    for size in (2, 3):
        for match in (False, True):
            _best_ensemble(best, size, match, args.work, judge)
    print(f"\nclasses: {', '.join(data.types.names)}; F4 at the best possible thresholds")


def _one(
    name: str, args: argparse.Namespace, data: Dataset, runs: list[DataRun], judge: Dataset,
    folder: Path,
) -> float:  # fmt: skip
    """Train, judge and print one preset; its heatmaps, table and row stay in the folder."""
    done = folder / "row.json"
    asked = [args.train, args.judge, args.minutes, args.runs, args.judge_runs, args.settings]
    if not done.exists():
        score, row = _trained_and_judged(name, args, data, runs, judge, folder)
        done.write_text(json.dumps([asked, score, row]))
    made_with, score, row = json.loads(done.read_text())
    if made_with != asked:
        raise SystemExit(f"{folder} was made with {made_with}, not {asked}; name another WORK")
    print(row, flush=True)
    return float(score)


def _trained_and_judged(
    name: str, args: argparse.Namespace, data: Dataset, runs: list[DataRun], judge: Dataset,
    folder: Path,
) -> tuple[float, str]:  # fmt: skip
    config = compose(
        [
            "experiment=cpu", f"model={name}", f"train.optimizer.minutes={args.minutes}",
            "train.optimizer.steps=1000000",
            f"train.optimizer.batch_size={BATCH}",
            f"train.crop={CROPS.get(name, CROP)}".replace(" ", ""), "infer.views=1",
            "infer.tile=null", *args.settings,
        ]
    )  # fmt: skip
    crop = config.train.crop
    samples = [
        training_run(r.tomogram, r.truth, data.types, config.target) for r in runs[: args.runs]
    ]
    module, result = train_detector(
        samples, len(data.types), config.model, config.loss, config.augment, config.train,
        folder / "work", target=config.target,
    )  # fmt: skip
    trained = result.steps * config.train.optimizer.batch_size * np.prod(crop) / result.seconds
    stride = output_stride(config.model.network)
    engine = at_heatmap_stride(make_engine(module, config.infer, stride))
    calibration, _ = find_candidates(
        runs[args.runs].tomogram, [engine], data.types, config.infer, config.candidates
    )
    np.save(folder / "table.npy", fit_table([_at_stride(calibration)]))
    found, seconds = _judged(engine, config, judge, folder)
    per_class, score = best_f4(found, judge)
    rounded = "- | -"
    ranges = int8_ranges(
        module, stride, [r.tomogram for r in runs[: args.runs]], config.infer.depth
    )
    if precision_in_force(config.infer, bool(ranges)) == "int8":
        engine = at_heatmap_stride(make_engine(module, config.infer, stride, ranges=ranges))
        found, int8_seconds = _judged(engine, config, judge, None)
        rounded = f"{int8_seconds:.1f} | {best_f4(found, judge)[1]:.3f}"
    count = sum(p.numel() for p in module.parameters()) / 1e6
    return score, (
        f"| {name} | {score:.3f} | {_line(per_class)} | {count:.2f} M "
        f"| {_flops_per_voxel(module, crop) / 1e3:.1f} | {'x'.join(map(str, crop))} "
        f"| {result.steps} | {trained / 1e6:.2f} | {seconds:.1f} | {rounded} |"
    )


def _judged(
    engine: Engine, config: Config, judge: Dataset, folder: Path | None
) -> tuple[dict[str, Candidates], float]:
    """Candidates by run, and seconds per 100 Mvoxel; heatmaps go to the folder if there is one."""
    found, seconds, voxels = {}, 0.0, 0
    for run, record in judge.runs.items():
        started = time.monotonic()
        heatmap, found[run] = find_candidates(
            record.tomogram, [engine], judge.types, config.infer, config.candidates
        )
        seconds += time.monotonic() - started
        voxels += int(np.prod(record.tomogram.shape))
        if folder is not None:
            np.save(folder / f"{run}.npy", _at_stride(heatmap))
    return found, seconds / voxels * 1e8


def _best_ensemble(
    names: Sequence[str], size: int, match: bool, folder: Path, judge: Dataset
) -> None:
    """Print the best ensemble of that many presets."""
    settings = CandidatesSettings(kernel=7, threshold=0.05)
    tables = {n: np.load(folder / n / "table.npy", allow_pickle=False) for n in names}
    results = []
    for members in itertools.combinations(names, size):
        found = {}
        for run, record in judge.runs.items():
            parts = [np.load(folder / n / f"{run}.npy", allow_pickle=False) for n in members]
            if match:
                parts = [
                    match_scores(p, tables[n], tables[members[0]])
                    for p, n in zip(parts, members, strict=True)
                ]
            mean = np.mean([p.astype(np.float32) for p in parts], 0)
            t = record.tomogram
            found[run] = heatmap_candidates(
                Heatmap(mean, HEATMAP_STRIDE), t.voxel_spacing, t.origin, settings, judge.types
            )
        per_class, score = best_f4(found, judge)
        results.append((score, members, per_class))
    if results:
        score, members, per_class = max(results, key=lambda r: r[0])
        kind = "matched" if match else "as they are"
        print(f"| {' + '.join(members)} | {kind} | {score:.3f} | {_line(per_class)} |", flush=True)


def _at_stride(heatmap: Heatmap) -> NDArray[np.float16]:
    return coarsen(heatmap.values, HEATMAP_STRIDE // heatmap.stride).astype(np.float16)


def best_f4(found: dict[str, Candidates], judge: Dataset) -> tuple[NDArray[np.float64], float]:
    """F4 by class and weighted, at the best possible thresholds."""
    k = len(judge.types)
    plain = Blend(np.ones(k), np.zeros(k), np.zeros(k))
    picks = {run: scored_picks(c, plain, judge.types) for run, c in found.items()}
    hits = hits_per_class(picks, judge.truth, judge.types)
    per_class = np.array([h.curve().fbeta().max(initial=0) for h in hits])
    return per_class, float(weighted_mean(per_class, judge.types.weights))


def _line(per_class: NDArray[np.float64]) -> str:
    return " ".join(f"{v:.2f}" for v in per_class)


def _flops_per_voxel(module: torch.nn.Module, crop: Sequence[int]) -> float:
    """Multiplications and additions of one forward pass per input voxel."""
    x = torch.zeros(1, 1, *crop)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x)
    return counter.get_total_flops() / x.numel()


if __name__ == "__main__":
    main()

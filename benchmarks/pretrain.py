"""Few real tomograms: with and without simulated ones first, for the same time in all.

    python benchmarks/pretrain.py TRAIN JUDGE --minutes 2 --before 4 [--runs 1]

Three detectors learn from the first RUNS runs of the project TRAIN: for `--minutes` alone; for
`--minutes` after `--before` minutes on simulated tomograms (`pretrain=simulated`); and, as a
control, for the time of both on the real ones. They are judged on the runs of JUDGE, by F4 at the
best possible thresholds. Nothing else may run on the machine.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from presets import best_f4

from cryo_pick.config import compose
from cryo_pick.pipeline.dataset import Dataset, load_dataset
from cryo_pick.pipeline.heatmaps import find_candidates
from cryo_pick.pipeline.pretrain import pretrain
from cryo_pick.pipeline.train import DETECTORS, train_detector_fold
from cryo_pick.weights import load_network
from detector.engine import make_engine
from detector.members import at_heatmap_stride
from detector.parts import output_stride


def main() -> None:
    """Train and judge each; print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("train")
    parser.add_argument("judge")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--before", type=float, default=4.0)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("settings", nargs="*", help="key=value, for all of them")
    args = parser.parse_intermixed_args()
    judge = load_dataset(compose([f"data={args.judge}"]))
    first = ["pretrain=simulated", "pretrain.steps=1000000", f"pretrain.minutes={args.before}"]
    both = args.minutes + args.before
    print(f"| {args.runs} real run(s) | weighted F4 | F4 by class |\n|---|---|---|", flush=True)
    for name, minutes, words in (
        (f"{args.minutes:g} min", args.minutes, []),
        (f"{both:g} min", both, []),
        (f"{args.minutes:g} min, after {args.before:g} min on simulated", args.minutes, first),
    ):
        limit = ["train.optimizer.steps=1000000", f"train.optimizer.minutes={minutes}"]
        with tempfile.TemporaryDirectory() as folder:
            words = [f"data={args.train}", "experiment=cpu", *limit, *words, *args.settings]
            per_class, score = _judged(words, args.runs, judge, Path(folder))
        print(f"| {name} | {score:.3f} | {' '.join(f'{v:.2f}' for v in per_class)} |", flush=True)
    print(f"\nclasses: {', '.join(judge.types.names)}; F4 at the best possible thresholds")


def _judged(
    words: list[str], n_runs: int, judge: Dataset, folder: Path
) -> tuple[list[float], float]:
    """F4 by class and weighted of a detector that is trained as some settings say."""
    config = compose(words)
    data = load_dataset(config)
    few = Dataset(data.types, dict(list(data.runs.items())[:n_runs]))
    begun = pretrain(config, few.voxel_spacing, folder)
    train_detector_fold(few, {}, None, begun, folder / "detector", folder / "work")
    module, spec = load_network(folder / "detector", DETECTORS)
    engine = at_heatmap_stride(make_engine(module, config.infer, output_stride(spec.network)))
    found = {
        name: find_candidates(run.tomogram, [engine], judge.types, config.infer, config.candidates)[
            1
        ]
        for name, run in judge.runs.items()
    }
    per_class, score = best_f4(found, judge)
    return per_class.tolist(), score


if __name__ == "__main__":
    main()

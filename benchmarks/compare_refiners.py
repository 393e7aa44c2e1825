r"""Which refiner earns most: variants trained on one folder's out-of-fold candidates.

    python benchmarks/compare_refiners.py BUNDLE JUDGE --minutes 6 \\
        "" "train.folds=6" "refiner.mixup=0.4" "refiner.params.channels=[48,96]"

BUNDLE is a folder in which `cryo-pick train` made detectors and out-of-fold candidates;
out-of-fold heatmaps are made again where they are gone. All variants see the same detectors and
the same candidates, and the refiners of all folds of a variant share the same time; `train.folds`
of a variant says how many refiners there are, each of which learns from all runs but those of its
fold. Printed per variant: steps of each, parameters, seconds in which all score a run, nested F4
out of fold, F4 on the judge project with the thresholds fitted out of fold, and with the best
possible ones, each for one stage and for two. The judge project must be used for choices only.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from cryo_pick.candidates import Candidates
from cryo_pick.config import Config, compose
from cryo_pick.hardware import choose_device
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline.dataset import Dataset, load_dataset
from cryo_pick.pipeline.fit import fit_candidates
from cryo_pick.pipeline.heatmaps import find_candidates
from cryo_pick.pipeline.results import read_config
from cryo_pick.pipeline.train import fold_assignment, predict_fold, refiner_run, score_run
from cryo_pick.pipeline.train_folder import TrainFolder
from cryo_pick.pipeline.whole import open_training_data
from cryo_pick.tomogram import Tomogram
from cryo_pick.weights import load_network
from detector.candidates import heatmap_candidates
from detector.engine import make_engine
from detector.heatmap import Heatmap
from detector.parts import output_stride
from metrics.counts import weighted_mean
from metrics.curves import hits_per_class
from metrics.evaluate import evaluate
from metrics.thresholds import cut
from refiner.blend import Blend, scored_picks
from refiner.engine_torch import TorchPatchEngine
from refiner.sampling import RefinerRun
from refiner.train import train_refiner


def main() -> None:
    """Train and judge every variant; print one row each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("judge")
    parser.add_argument("variants", nargs="+")
    parser.add_argument("--minutes", type=float, default=6.0, help="of all folds together")
    parser.add_argument("--steps", type=int, help="train by steps, not by time: on a busy machine")
    args = parser.parse_args()
    base = read_config(args.bundle)
    data, folds = open_training_data(base)
    folder = TrainFolder(args.bundle)
    numbers = sorted(set(folds.values()))
    for fold in numbers:
        predict_fold(
            data.fold(folds, fold, inside=True), data.types, folder.detector(fold), base, folder
        )
    judge = load_dataset(compose([f"data={args.judge}"]))
    found = unseen_candidates(judge, base, folder, numbers)
    print(
        "| variant | refiners x steps | parameters | s to score a run | nested: one | two "
        "| judge: one | two | judge, best: one | two |\n" + "|---" * 10 + "|"
    )
    for variant in args.variants:
        limit = args.steps or 1_000_000
        config = compose(["experiment=cpu", f"refiner.optimizer.steps={limit}", *variant.split()])
        config = replace(config, data=base.data)
        parts = fold_assignment(data, config)
        share = args.minutes / len(set(parts.values()))
        config.refiner.optimizer.minutes = None if args.steps else share
        own = {
            r.name: with_candidates(
                refiner_run(r, folder, config.candidates.merge_distance), config, data.types
            )
            for r in data.runs.values()
            if r.name in folds
        }
        seen = {
            n: (heatmap, candidates_of(heatmap, judge.runs[n].tomogram, config, judge.types))
            for n, (heatmap, _) in found.items()
        }
        members, steps, oof = [], 0, {}
        for fold in sorted(set(parts.values())):
            runs = [own[r.name] for r in data.fold(parts, fold, inside=False)]
            with tempfile.TemporaryDirectory() as work:
                module, result = train_refiner(
                    runs, data.types, config.refiner, config.augment, Path(work)
                )
            device = choose_device(config.refiner.optimizer.accelerator)
            engine = TorchPatchEngine(module, device)
            members.append(engine)
            steps = result.steps
            for run in data.fold(parts, fold, inside=True):
                mine = own[run.name]
                plain = Candidates(mine.places, mine.stage1)
                oof[run.name] = score_run(run, mine.heatmap, mine.stride, plain, [engine], config)
        started = time.monotonic()
        judged = {
            n: score_run(r, seen[n][0].values, seen[n][0].stride, seen[n][1], members, config)
            for n, r in judge.runs.items()
        }
        seconds = (time.monotonic() - started) / len(judged)
        many = sum(p.numel() for p in module.parameters())
        cost = f"{len(members)} x {steps} | {many / 1e3:.0f} k | {seconds:.1f}"
        report(variant, cost, oof, judged, data, folds, judge, config)


def candidates_of(
    heatmap: Heatmap, tomogram: Tomogram, config: Config, types: ParticleTypes
) -> Candidates:
    """Candidates of a heatmap as a variant's `candidates` settings want them."""
    return heatmap_candidates(
        heatmap, tomogram.voxel_spacing, tomogram.origin, config.candidates, types
    )


def with_candidates(run: RefinerRun, config: Config, types: ParticleTypes) -> RefinerRun:
    """A run with the candidates that a variant's settings find in its heatmap."""
    found = heatmap_candidates(
        Heatmap(run.heatmap, run.stride), run.voxel_spacing, run.origin, config.candidates, types
    )
    return replace(run, places=found.positions, stage1=found.stage1)


def unseen_candidates(
    data: Dataset, base: Config, folder: TrainFolder, numbers: list[int]
) -> dict[str, tuple[Heatmap, Candidates]]:
    """Heatmap and candidates of each run of a project, from the mean of some folds' detectors."""
    engines = []
    for fold in numbers:
        module, spec = load_network(folder.detector(fold), "detector.networks")
        engines.append(make_engine(module, base.infer, output_stride(spec.network)))
    return {
        n: find_candidates(r.tomogram, engines, data.types, base.infer, base.candidates)
        for n, r in data.runs.items()
    }


def report(
    variant: str, cost: str,
    oof: dict[str, Candidates], judged: dict[str, Candidates],
    data: Dataset, folds: dict[str, int], judge: Dataset, config: Config,
) -> None:  # fmt: skip
    """One row, and the classes below it."""
    outcome = fit_candidates(
        oof, {r: data.runs[r].truth for r in oof}, data.types, folds, config.fit
    )
    cells, lines = [], []
    fits = [outcome.fits["one_stage"], outcome.fits["two_stage"]]
    scored = [picks_of(judged, f.blend, data) for f in fits]
    cells += [f"{f.f4['nested']:.3f}" for f in fits]
    at_fit = [
        evaluate({r: cut(p, f.cut) for r, p in s.items()}, judge.truth, judge.types)
        for f, s in zip(fits, scored, strict=True)
    ]
    cells += [f"{e.score:.3f}" for e in at_fit]
    best = [
        np.array(
            [h.curve().fbeta().max(initial=0) for h in hits_per_class(s, judge.truth, judge.types)]
        )
        for s in scored
    ]
    cells += [f"{weighted_mean(b, judge.types.weights):.3f}" for b in best]
    for i, kind in enumerate(judge.types):
        values = [e.per_class[kind.name].fbeta() for e in at_fit]
        lines.append(
            f"{kind.name} {values[0]:.2f} to {values[1]:.2f} "
            f"(best {best[0][i]:.2f} to {best[1][i]:.2f})"
        )
    print(f"| {variant or 'default'} | {cost} | " + " | ".join(cells) + " |")
    print("    " + "; ".join(lines), flush=True)
    used = [n for n, e in outcome.evidence.items() if e["stage2_used"]]
    print(
        "    stage 2 used for:",
        ", ".join(used),
        "blend",
        np.round(fits[1].blend.stage1, 2),
        np.round(fits[1].blend.stage2, 2),
    )
    bayes(scored, fits, judge)


def bayes(scored: list[dict[str, Picks]], fits: list, judge: Dataset) -> None:
    """The same with the thresholds that calibrated scores would want, F / 17, for comparison."""
    for name, s, f in zip(("one", "two"), scored, fits, strict=True):
        cuts = np.array([t.f / 17 for t in f.thresholds])
        e = evaluate({r: cut(p, cuts) for r, p in s.items()}, judge.truth, judge.types)
        print(
            f"    {name}: F/17 thresholds {e.score:.3f}; fitted {np.round(f.cut, 3)} "
            f"against {np.round(cuts, 3)}"
        )


def picks_of(found: dict[str, Candidates], blend: Blend, data: Dataset) -> dict[str, Picks]:
    """Scored picks of every run, uncut."""
    return {r: scored_picks(c, blend, data.types, 1e-3) for r, c in found.items()}


if __name__ == "__main__":
    main()

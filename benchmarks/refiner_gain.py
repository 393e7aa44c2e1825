"""What the second stage earns on runs that took part in no choice, at several noise levels.

    python benchmarks/refiner_gain.py PHANTOM_SCRIPT WORK [key=value ...] [--noise 1.0 1.5 0.7]

At each noise level: 6 runs to train on (seed 1000), 12 to test on (seeds 2000 and 3000), one
`cryo-pick train` (experiment=cpu unless settings are given), then both stages on the same
candidates of the same detectors. Printed: the scores of one stage and of two, each with thresholds
fitted by cross-validation, their difference with its 90 % paired bootstrap over runs, the nested
score that the bundle claims, the score of single members (out of fold there is one of each stage,
on unseen runs the mean of several), the best that a perfect re-scorer could reach, the time that
refining adds, and per class the precision at the recall where stage 1 is operated. What is trained
already is not trained again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from compare_refiners import unseen_candidates
from whole_path import BOX, Finished, call

from cryo_pick.candidates import Candidates
from cryo_pick.config import compose
from cryo_pick.formats.candidates_npz import read_candidates
from cryo_pick.formats.picks_file import read_picks
from cryo_pick.hardware import choose_device
from cryo_pick.picks import Picks
from cryo_pick.pipeline.bundle import Bundle, read_bundle
from cryo_pick.pipeline.dataset import load_dataset
from cryo_pick.pipeline.results import read_config
from cryo_pick.pipeline.train import score_run
from cryo_pick.pipeline.train_folder import TrainFolder
from cryo_pick.weights import load_network
from metrics.bootstrap import paired_bootstrap
from metrics.ceiling import perfect_rescorer
from metrics.curves import hits_per_class
from metrics.evaluate import evaluate
from metrics.localization import localization_error, matched_distances
from metrics.thresholds import cut
from refiner.blend import scored_picks
from refiner.engine_torch import TorchPatchEngine

STAGES = ("one_stage", "two_stage")
_SEED = 0


@dataclass(frozen=True)
class Tested:
    """One bundle on its test runs: candidates of all runs, truth, seconds of both predictions.

    `single` holds for each fold the candidates that its own detector and refiner make.
    """

    bundle: Bundle
    candidates: Mapping[str, Candidates]
    single: Sequence[Mapping[str, Candidates]]
    truth: Mapping[str, Picks]
    seconds: Mapping[str, float]


def main() -> None:
    """Make, train, predict, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("phantom", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--noise", type=float, nargs="+", default=[1.0, 1.5, 0.7])
    args, settings = parser.parse_known_args()
    tested = {
        noise: prepared(args.phantom, args.work / f"noise{noise:g}", noise, settings)
        for noise in args.noise
    }
    print_scores(tested)
    for noise, test in tested.items():
        print_classes(noise, test)


def prepared(phantom: Path, work: Path, noise: float, settings: list[str]) -> Tested:
    """Projects, bundle and predictions of one noise level."""
    train, tests = work / "train", [work / "test2000", work / "test3000"]
    for folder, seed in zip((train, *tests), ("1000", "2000", "3000"), strict=True):
        if not (folder / "copick_config.json").is_file():
            call([sys.executable, str(phantom), str(folder), "--runs", "6", *BOX,
                  "--seed", seed, "--noise", str(noise)])  # fmt: skip
    out = work / "bundle"
    call(["cryo-pick", "train", str(train), "--out", str(out), *(settings or ["experiment=cpu"])])
    bundle = read_bundle(out)
    candidates: dict[str, Candidates] = {}
    truth: dict[str, Picks] = {}
    seconds = dict.fromkeys(STAGES, 0.0)
    for project in tests:
        for stage in STAGES:
            folder = work / f"{project.name}-{stage}"
            done: Finished = call(
                ["cryo-pick", "predict", str(project), "--model", str(out), "--overwrite",
                 f"--{stage.replace('_', '-')}", "--out", str(folder)]
            )  # fmt: skip
            seconds[stage] += done.seconds
        truth |= read_picks(project, bundle.types)[0]
        for file in sorted((folder / "runs").glob("*/candidates.npz")):
            candidates[file.parent.name] = read_candidates(file).candidates
    return Tested(bundle, candidates, single_members(out, tests), truth, seconds)


def single_members(bundle: Path, tests: Sequence[Path]) -> list[dict[str, Candidates]]:
    """Candidates of each fold's detector alone, scored by that fold's refiner alone."""
    config, folder = read_config(bundle), TrainFolder(bundle)
    projects = [load_dataset(compose([f"data={project}"])) for project in tests]
    made = []
    for fold in range(config.train.folds):
        module, _ = load_network(folder.refiner(fold), "refiner.networks")
        refiner = TorchPatchEngine(module, choose_device(config.refiner.optimizer.accelerator))
        made.append(
            {
                run: score_run(
                    data.runs[run], heatmap.values, heatmap.stride, found, [refiner], config
                )
                for data in projects
                for run, (heatmap, found) in unseen_candidates(data, config, folder, [fold]).items()
            }
        )
    return made


def picks_of(test: Tested, stage: str) -> dict[str, Picks]:
    """All scored picks of one stage, from the same candidates."""
    blend = test.bundle.fits[stage].blend
    return {r: scored_picks(c, blend, test.bundle.types) for r, c in test.candidates.items()}


def kept_of(test: Tested, stage: str) -> dict[str, Picks]:
    """Picks above the thresholds that cross-validation fitted."""
    at = test.bundle.fits[stage].cut
    return {run: cut(p, at) for run, p in picks_of(test, stage).items()}


def single_score(test: Tested, stage: str) -> float:
    """Mean over folds of the weighted F4 that a fold's members reach alone."""
    alone = [replace(test, candidates=candidates) for candidates in test.single]
    types = test.bundle.types
    return float(np.mean([evaluate(kept_of(t, stage), t.truth, types).score for t in alone]))


def print_scores(tested: Mapping[float, Tested]) -> None:
    """One row per noise level."""
    print(
        "| noise | one stage | two stages | gain (90 % interval) | nested: one | two "
        "| single members: one | two | best thresholds: one | two | perfect re-scorer "
        "| candidates a run | time added |"
    )
    print("|" + "---|" * 13)
    for noise, test in tested.items():
        types = test.bundle.types
        one, two = (kept_of(test, s) for s in STAGES)
        gain = paired_bootstrap(two, one, test.truth, types, np.random.default_rng(_SEED)).score
        scores = [evaluate(p, test.truth, types).score for p in (one, two)]
        nested = [test.bundle.fits[s].f4["nested"] for s in STAGES]
        best = [best_score(test, s) for s in STAGES]
        single = [single_score(test, s) for s in STAGES]
        ceiling = perfect_rescorer(
            {r: c.positions for r, c in test.candidates.items()},
            {r: c.stage1 for r, c in test.candidates.items()},
            test.truth,
            types,
        ).score(repaired=True)[0]
        many = np.mean([len(c) for c in test.candidates.values()])
        added = test.seconds["two_stage"] / test.seconds["one_stage"] - 1
        print(
            f"| {noise:g} | {scores[0]:.3f} | {scores[1]:.3f} "
            f"| {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}) "
            f"| {nested[0]:.3f} | {nested[1]:.3f} | {single[0]:.3f} | {single[1]:.3f} "
            f"| {best[0]:.3f} | {best[1]:.3f} "
            f"| {ceiling:.3f} | {many:.0f} | {added:.0%} |"
        )


def best_score(test: Tested, stage: str) -> float:
    """Weighted F4 at the best possible thresholds of the test runs themselves."""
    types = test.bundle.types
    hits = hits_per_class(picks_of(test, stage), test.truth, types)
    best = np.array([h.curve().fbeta().max(initial=0) for h in hits])
    return float((best * types.weights).sum() / types.weights.sum())


def print_classes(noise: float, test: Tested) -> None:
    """Per class: F4, precision where stage 1 is operated, and localisation error."""
    types = test.bundle.types
    found = {s: evaluate(kept_of(test, s), test.truth, types).per_class for s in STAGES}
    curves = {s: hits_per_class(picks_of(test, s), test.truth, types) for s in STAGES}
    errors = {s: matched_distances(kept_of(test, s), test.truth, types) for s in STAGES}
    print(
        f"\nNoise {noise:g}, 12 test runs\n\n| class | F4: one | two | recall of one stage "
        "| precision there: one | two | times | stage 2 used "
        "| localisation error, Å (median, 95 %): one | two |"
    )
    print("|" + "---|" * 10)
    for i, name in enumerate(types.names):
        one, two = (found[s][name] for s in STAGES)
        curve = curves["two_stage"][i].curve()
        reach = np.flatnonzero(curve.recall >= one.recall)
        there = float(curve.precision[reach[0]]) if len(reach) else 0.0
        ratio = f"{there / one.precision:.1f}" if one.precision > 0 else "-"
        used = "yes" if test.bundle.fits["two_stage"].blend.stage2[i] > 0 else "no"
        error = [localization_error(errors[s][name]) for s in STAGES]
        at = [f"{e.median:.1f}, {e.percentile_95:.1f}" if e.n_pairs else "-" for e in error]
        print(
            f"| {name} (weight {types.weights[i]:g}) | {one.fbeta():.3f} | {two.fbeta():.3f} "
            f"| {one.recall:.3f} | {one.precision:.3f} | {there:.3f} | {ratio} | {used} "
            f"| {at[0]} | {at[1]} |"
        )


if __name__ == "__main__":
    main()

r"""Which detector learns most in the same time: variants trained on one project, judged on another.

    python benchmarks/compare_detectors.py TRAIN JUDGE --minutes 5 \\
        "model=unet_half" "model=shuffle_unet" "model=shuffle_unet train.crop=[48,48,48]"

Each variant is a string of settings. Printed per variant: steps done in the time, cost of the
network, weighted F4 of stage 1 at the best possible thresholds on the judge project, recall of the
candidates and how many there are per run. The judge project must be used for choices only; results
are reported on others. Run it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from cryo_pick.config import compose
from cryo_pick.pipeline.dataset import load_dataset
from cryo_pick.pipeline.heatmaps import find_candidates
from detector.engine import make_engine
from detector.parts import output_stride
from detector.train import train_detector, training_run
from metrics.ceiling import perfect_rescorer
from metrics.counts import weighted_mean
from metrics.curves import hits_per_class
from refiner.blend import Blend, scored_picks


def main() -> None:
    """Train and judge every variant; print one row each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("train")
    parser.add_argument("judge")
    parser.add_argument("variants", nargs="+")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--runs", type=int, help="train on the first RUNS runs only")
    args = parser.parse_args()
    names = None
    print(
        "| variant | parameters | FLOP per voxel | steps | weighted F4 | "
        "per class | recall | candidates a run |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for variant in args.variants:
        common = [
            "experiment=cpu",
            f"train.optimizer.minutes={args.minutes}",
            "train.optimizer.steps=1000000",
        ]
        config = compose([f"data={args.train}", *common, *variant.split()])
        data = load_dataset(config)
        names = data.types.names
        runs = list(data.runs.values())[: args.runs]
        samples = [training_run(r.tomogram, r.truth, data.types, config.target) for r in runs]
        with tempfile.TemporaryDirectory() as folder:
            module, result = train_detector(
                samples,
                len(names),
                config.model,
                config.loss,
                config.augment,
                config.train,
                Path(folder),
                target=config.target,
            )
        judge = load_dataset(compose([f"data={args.judge}"]))
        engine = make_engine(module, config.infer, output_stride(config.model.network))
        found = {
            n: find_candidates(r.tomogram, [engine], data.types, config.infer, config.candidates)[1]
            for n, r in judge.runs.items()
        }
        k = len(names)
        plain = Blend(np.ones(k), np.zeros(k), np.zeros(k))
        picks = {n: scored_picks(c, plain, data.types) for n, c in found.items()}
        best = np.array(
            [
                h.curve().fbeta().max(initial=0)
                for h in hits_per_class(picks, judge.truth, data.types)
            ]
        )
        ceiling = perfect_rescorer(
            {n: c.positions for n, c in found.items()},
            {n: c.stage1 for n, c in found.items()},
            judge.truth,
            data.types,
        )
        score = float(weighted_mean(best, data.types.weights))
        recall = float(weighted_mean(ceiling.recall(repaired=True)[0], data.types.weights))
        per_class = " ".join(f"{v:.2f}" for v in best)
        many = np.mean([len(c) for c in found.values()])
        n_params = sum(p.numel() for p in module.parameters()) / 1e6
        print(
            f"| {variant} | {n_params:.2f} M | {flops_per_voxel(module):.0f} | {result.steps} "
            f"| {score:.3f} | {per_class} | {recall:.3f} | {many:.0f} |",
            flush=True,
        )
    print(f"\nper class: {', '.join(names or ())}; recall: weighted, class repaired")


def flops_per_voxel(module: object) -> float:
    """Multiplications and additions of one forward pass per input voxel."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.zeros(1, 1, 64, 64, 64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x)  # type: ignore[operator]
    return counter.get_total_flops() / x.numel()


if __name__ == "__main__":
    main()

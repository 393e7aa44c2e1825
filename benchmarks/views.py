"""What test-time views earn and cost: F4 and seconds by the number of views of each stage.

    python benchmarks/views.py BUNDLE JUDGE [--detector 1 2 4 8] [--refiner 1 2 4 8]

The judge project must be used for choices only. Thresholds are the bundle's, which were fitted with
the views that it says; the best possible ones are shown beside them. Every run is picked once
before the clock starts.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryo_pick.config import compose
from cryo_pick.formats.inputs import InputRun, find_inputs
from cryo_pick.pipeline.dataset import Dataset, load_dataset
from cryo_pick.pipeline.picker import Picker, load_picker
from cryo_pick.pipeline.predict import pick_tomogram, picks_of
from metrics.counts import weighted_mean
from metrics.curves import hits_per_class
from metrics.evaluate import evaluate
from refiner.blend import scored_picks


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("judge")
    parser.add_argument("--detector", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--refiner", type=int, nargs="+", default=[1, 2, 4, 8])
    arguments = parser.parse_args()
    config = compose([f"data={arguments.judge}"])
    judge = load_dataset(config)
    loaded = load_picker(arguments.bundle, None, config.infer, config.candidates)
    fitted = loaded.bundle.infer["views"], loaded.bundle.refiner["views"]
    print(f"{loaded.engines[0].name}; fitted with {fitted[0]} and {fitted[1]} views\n")
    print("| views of the detectors | of the refiners | weighted F4 | at the best thresholds | s |")
    print("|---|---|---|---|---|")
    sources = find_inputs([arguments.judge], config.data)
    for source in sources:
        pick_tomogram(source.open(), loaded)
    for detector, refiner in (
        *((n, fitted[1]) for n in arguments.detector),
        *((1, n) for n in arguments.refiner),
    ):
        picker = dataclasses.replace(
            loaded,
            infer=dataclasses.replace(loaded.infer, views=detector),
            bundle=dataclasses.replace(
                loaded.bundle, refiner=loaded.bundle.refiner | {"views": refiner}
            ),
        )
        score, best, seconds = judged(picker, sources, judge)
        print(f"| {detector} | {refiner} | {score:.4f} | {best:.4f} | {seconds:.1f} |", flush=True)


def judged(
    picker: Picker, sources: Sequence[InputRun], judge: Dataset
) -> tuple[float, float, float]:
    """Weighted F4 at the bundle's thresholds and at the best ones, and seconds, of a picker."""
    started = time.monotonic()
    found = {source.run: pick_tomogram(source.open(), picker)[0] for source in sources}
    seconds = time.monotonic() - started
    picks = {run: picks_of(c, picker.bundle, picker.stage) for run, c in found.items()}
    blend = picker.bundle.fits[picker.stage].blend
    scored = {run: scored_picks(c, blend, judge.types) for run, c in found.items()}
    hits = hits_per_class(scored, judge.truth, judge.types)
    best = weighted_mean(
        np.array([h.curve().fbeta().max(initial=0) for h in hits]), judge.types.weights
    )
    return evaluate(picks, judge.truth, judge.types).score, best, seconds


if __name__ == "__main__":
    main()

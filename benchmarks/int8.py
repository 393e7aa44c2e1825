"""What int8 changes: ways to choose its ranges, on a bundle's first detector and unseen runs.

    python benchmarks/int8.py BUNDLE TRAIN PROJECT [--nncf]

Ranges are measured on the tomograms of TRAIN that the detector was trained on, as `cryo-pick train`
does, or between quantiles of what goes into a layer instead of its extremes; `--nncf` adds Intel's
NNCF (min-max with fast bias correction, its preset for activations that are not symmetric), which
has to be installed: pip install nncf. Printed for each, and for fp32 and bf16: how far heatmaps are
from those in fp32 (root mean square, as a share of the heatmap's own), the weighted F4 at the
thresholds that suit fp32 best and at those that suit each best, and seconds inside the network.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from cryo_pick.candidates import Candidates
from cryo_pick.config import compose
from cryo_pick.hardware import cpu_has_bf16
from cryo_pick.pipeline.bundle import read_bundle
from cryo_pick.pipeline.dataset import Dataset, load_dataset
from cryo_pick.pipeline.heatmaps import find_candidates
from cryo_pick.pipeline.int8_ranges import calibration_tiles
from cryo_pick.weights import load_network
from detector.engine_openvino import OpenVinoEngine
from detector.int8 import Ranges, look_at_inputs, measure_ranges
from detector.int8_ranges import least_error_ranges
from detector.parts import output_stride
from detector.settings import CandidatesSettings
from metrics.counts import weighted_mean
from metrics.curves import ThresholdCurve, hits_per_class
from metrics.thresholds import best_threshold
from refiner.blend import Blend, scored_picks


class Timed:
    """An engine that counts the seconds spent in it."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.seconds = engine, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def __call__(self, batch: NDArray[np.float32]) -> Any:
        """Run the engine."""
        started = time.perf_counter()
        answer = self.engine(batch)
        self.seconds += time.perf_counter() - started
        return answer


def quantile_ranges(module: nn.Module, tiles: Iterable[Tensor], quantile: float) -> Ranges:
    """Of each layer's inputs, the lowest and highest quantile over tiles."""
    found: dict[str, tuple[float, float]] = {}

    def look(name: str, values: Tensor) -> None:
        low, high = np.quantile(values.numpy().ravel(), [1 - quantile, quantile]).tolist()
        before = found.get(name, (0.0, 0.0))
        found[name] = (min(before[0], low), max(before[1], high))

    look_at_inputs(module, tiles, look)
    return found


def by_nncf(module: nn.Module, stride: int, tiles: list[Tensor]) -> OpenVinoEngine:
    """The network as NNCF rounds it, on the same tiles."""
    import nncf
    import openvino

    engine = OpenVinoEngine(module, stride, "bf16" if cpu_has_bf16() else "fp32")
    model = engine._model.clone()
    model.reshape({0: openvino.PartialShape(list(tiles[0].shape))})
    engine._model = nncf.quantize(
        model, nncf.Dataset([t.numpy() for t in tiles]), preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(tiles),
    )  # fmt: skip
    return engine


def curves(found: dict[str, Candidates], data: Dataset) -> list[ThresholdCurve]:
    """Of each class, what every threshold counts."""
    k = len(data.types)
    plain = Blend(np.ones(k), np.zeros(k), np.zeros(k))
    picks = {run: scored_picks(c, plain, data.types) for run, c in found.items()}
    return [h.curve() for h in hits_per_class(picks, data.truth, data.types)]


def weighted_f4(of: list[ThresholdCurve], best_of: list[ThresholdCurve], data: Dataset) -> float:
    """At the thresholds where `best_of` scores best."""
    f = [c.at(best_threshold(b).threshold).fbeta(4.0) for c, b in zip(of, best_of, strict=True)]
    return float(weighted_mean(np.array(f), data.types.weights))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("train")
    parser.add_argument("project")
    parser.add_argument("--nncf", action="store_true")
    args = parser.parse_args()
    config = compose([f"data={args.project}"])
    bundle = read_bundle(args.bundle)
    module, spec = load_network(args.bundle / bundle.detectors[0], "detector.networks")
    stride = output_stride(spec.network)
    seen = load_dataset(compose([f"data={args.train}"])).runs
    tiles = calibration_tiles(
        module, stride, [seen[n].tomogram for n in spec.trained_on], bundle.infer.get("depth")
    )
    ways: dict[str, Callable[[], OpenVinoEngine]] = {
        "fp32": lambda: OpenVinoEngine(module, stride, "fp32")
    }
    if cpu_has_bf16():
        ways["bf16"] = lambda: OpenVinoEngine(module, stride, "bf16")

    def in_int8(ranges: Ranges) -> OpenVinoEngine:
        return OpenVinoEngine(module, stride, "int8", ranges=ranges)

    ways["int8, least error"] = lambda: in_int8(least_error_ranges(module, tiles))
    ways["int8, extremes"] = lambda: in_int8(measure_ranges(module, tiles))
    ways["int8, quantile 0.99999"] = lambda: in_int8(quantile_ranges(module, tiles, 0.99999))
    ways["int8, quantile 0.9999"] = lambda: in_int8(quantile_ranges(module, tiles, 0.9999))
    if args.nncf:
        ways["int8, NNCF"] = lambda: by_nncf(module, stride, tiles)
    data = load_dataset(config)
    candidates = CandidatesSettings(**bundle.candidates)
    reference: dict[str, NDArray[np.float32]] = {}
    base: list[ThresholdCurve] = []
    print(f"{args.bundle.name}, {spec.network}, {len(data.runs)} unseen runs\n")
    print("| numbers | heatmap, of its size | F4 at fp32's thresholds | at its own | s |")
    print("|---" * 5 + "|", flush=True)
    for name, make in ways.items():
        engine = Timed(make())
        found, changed, size = {}, 0.0, 0.0
        for run, record in data.runs.items():
            heatmap, found[run] = find_candidates(
                record.tomogram, [engine], data.types, config.infer, candidates
            )
            values = heatmap.values.astype(np.float32)
            expected = reference.setdefault(run, values)
            changed += float(np.square(values - expected).sum(dtype=np.float64))
            size += float(np.square(expected).sum(dtype=np.float64))
        own = curves(found, data)
        base = base or own
        print(
            f"| {name} | {(changed / size) ** 0.5:.4f} | {weighted_f4(own, base, data):.4f} "
            f"| {weighted_f4(own, own, data):.4f} | {engine.seconds:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""Crops per second of our training against the same network in eager fp32, NCDHW.

    python benchmarks/train_speed.py [--presets shuffle_unet unet_half unet_tiny] [--steps N]

The baseline is what one writes first: draw a batch, forward, backward, AdamW, all in turn, in fp32
and contiguous. Ours is :func:`cryo_pick.fit.fit` as every command calls it: channels_last_3d, the
precision that the hardware is good at, fused optimizer, batches drawn ahead, averaged weights. Both
see the same crops of noise. Each line runs in a process of its own, so that its peak memory is its
own, and the two of a preset take turns (`--rounds`), so that other work on the machine hits both;
the best round of each counts. Processor time per crop is printed too, which other work disturbs
less; run with OMP_NUM_THREADS=1 it is exact, since no thread waits for another. Both use AdamW.
`--settings` are train.optimizer settings of ours: ``compile=true``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cryo_pick.config import Config, compose
from cryo_pick.fabric import training_precision
from cryo_pick.fit import fit
from cryo_pick.overrides import group_options
from detector.sampling import TrainingRun
from detector.targets import target_sigmas
from detector.train import DetectorParts, detector_parts

WARM_UP = 3
PRESETS = [p for p in ("shuffle_unet", "unet_half", "unet_tiny") if p in group_options()["model"]]
N_CLASSES = 6
SHAPE = (96, 320, 320)


def parts_of(preset: str, settings: list[str]) -> tuple[DetectorParts, Config]:
    """Network, loss and crops of a preset, on noise with 300 particles of six classes."""
    words = [f"train.optimizer.{s}" for s in settings]
    common = ["train.optimizer.accelerator=cpu", "train.optimizer.method=adamw"]
    config = compose([f"model={preset}", *common, *words])
    rng = np.random.default_rng(0)
    sigmas = np.repeat(target_sigmas(np.full(N_CLASSES, 100.0), config.target)[:, None], 3, 1) / 10
    run = TrainingRun(
        rng.standard_normal(SHAPE, np.float32),
        rng.uniform(0, 1, (300, 3)) * np.array(SHAPE),
        rng.integers(0, N_CLASSES, 300),
        sigmas,
        "noise",
    )
    parts = detector_parts(
        [run], N_CLASSES, config.model, config.loss, config.augment, config.train, config.target
    )
    return parts, config


def baseline(preset: str, steps: int) -> dict[str, Any]:
    """A plain loop in fp32, contiguous."""
    parts, config = parts_of(preset, [])
    optimizer = torch.optim.AdamW(parts.module.parameters(), lr=1e-3, fused=False)
    size = config.train.optimizer.batch_size
    parts.module.train()
    waited = 0.0
    started = worked = 0.0
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            started, waited, worked = time.monotonic(), 0.0, time.process_time()
        asked = time.monotonic()
        batch = {k: torch.from_numpy(v) for k, v in parts.sampler.batch(step, size).items()}
        waited += time.monotonic() - asked
        optimizer.zero_grad()
        loss = parts.losses(parts.module, batch)["loss"]
        loss.backward()
        optimizer.step()
        loss.item()
    seconds = time.monotonic() - started
    each = (time.process_time() - worked) / (steps * size)
    return result(steps * size / seconds, each, waited / seconds, "fp32")


def ours(preset: str, steps: int, settings: list[str]) -> dict[str, Any]:
    """The training loop of the project."""
    parts, config = parts_of(preset, settings)
    optimizer = replace(config.train.optimizer, steps=WARM_UP + steps, minutes=None)
    ends: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        done = fit(
            parts.module, parts.losses, parts.sampler.batch, optimizer, Path(folder),
            on_progress=lambda *_: ends.append((time.monotonic(), time.process_time())),
        )  # fmt: skip
    seconds, worked = np.subtract(ends[-1], ends[WARM_UP - 1]).tolist()
    crops = steps * optimizer.batch_size
    precision = training_precision(optimizer)
    return result(crops / seconds, worked / crops, done.waiting_share, precision)


def result(crops: float, worked: float, waiting: float, precision: str) -> dict[str, Any]:
    """One measurement as JSON: crops per second, processor seconds per crop, share waited."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "crops": crops,
        "worked": worked,
        "waiting": waiting,
        "precision": precision,
        "peak": peak,
    }


def measured(kind: str, preset: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One measurement, in a process of its own."""
    words = [sys.executable, __file__, "--only", kind, "--presets", preset]
    words += ["--steps", str(arguments.steps), "--settings", *arguments.settings]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--settings", nargs="*", default=[])
    parser.add_argument("--only", choices=("baseline", "ours"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only == "baseline":
        print(json.dumps(baseline(arguments.presets[0], arguments.steps)))
        return
    if arguments.only == "ours":
        print(json.dumps(ours(arguments.presets[0], arguments.steps, arguments.settings)))
        return
    print(f"{torch.get_num_threads()} threads, load of the machine at the start ", end="")
    print(f"{os.getloadavg()[0]:.1f}; batches of 4 crops of 64^3; {arguments.settings or ''}\n")
    print("| preset | baseline, crops/s | ours, crops/s | ratio | per round | ", end="")
    print("processor s per crop, baseline | ours | ratio | ", end="")
    print("waiting, baseline | ours | precision | peak GiB, baseline | ours |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for preset in arguments.presets:
        rounds = [
            [measured(kind, preset, arguments) for kind in ("baseline", "ours")]
            for _ in range(arguments.rounds)
        ]
        a, b = (max((r[i] for r in rounds), key=lambda m: float(m["crops"])) for i in (0, 1))
        each = " ".join(f"{y['crops'] / x['crops']:.2f}" for x, y in rounds)
        c, d = (min(r[i]["worked"] for r in rounds) for i in (0, 1))
        print(
            f"| {preset} | {a['crops']:.1f} | {b['crops']:.1f} | {b['crops'] / a['crops']:.2f} "
            f"| {each} | {c:.3f} | {d:.3f} | {c / d:.2f} "
            f"| {100 * a['waiting']:.1f} % | {100 * b['waiting']:.1f} % "
            f"| {b['precision']} | {a['peak'] / 2**30:.2f} | {b['peak'] / 2**30:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

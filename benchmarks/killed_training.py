"""A training killed many times ends like the undisturbed one, bit for bit.

    python benchmarks/killed_training.py PROJECT WORK --minutes 10 --kills 10

First `detector train` runs undisturbed, in as many steps as fit into the time (measured on the
first few); then the same command runs again in another folder and is killed with SIGKILL at random
moments, spread over the training, and started again each time. Prints how far each life came, and
whether weights, averaged metrics and the log agree.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from safetensors.numpy import load_file

PACE_STEPS = 100
"""Steps of the training that is timed first."""


def command(project: Path, out: Path, steps: int, words: list[str]) -> list[str]:
    """`detector train` on fold 0; time must not decide, only steps."""
    settings = [f"data={project}", "fold=0", f"out={out}", f"train.optimizer.steps={steps}"]
    settings += ["train.optimizer.minutes=null", "train.optimizer.accelerator=cpu"]
    start = "from detector.cli import main; raise SystemExit(main())"
    return [sys.executable, "-c", start, "train", *settings, *words]


def run_whole(words: list[str]) -> float:
    """Seconds that a command takes."""
    started = time.monotonic()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - started


def checkpoint_step(out: Path) -> int:
    """Step of the checkpoint that a killed process left; 0 without one."""
    import torch

    path = out / "work" / "checkpoint.pt"
    if not path.is_file():
        return 0
    return int(torch.load(path, weights_only=True)["step"])


def killed(words: list[str], out: Path, seconds: list[float]) -> list[int]:
    """Start a command, kill it after each of some times, let it end; the step of each kill."""
    steps = []
    for wait in seconds:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            steps.append(checkpoint_step(out))
            continue
        return steps
    run_whole(words)
    return steps


def same(a: Path, b: Path) -> bool:
    """Whether two weights files hold the same bits."""
    first, second = load_file(a), load_file(b)
    return first.keys() == second.keys() and all(
        first[k].tobytes() == second[k].tobytes() for k in first
    )


def seconds_per_step(out: Path) -> float:
    """Of a short training, by its log, so without the start of the process."""
    first, *_, last = log_rows(out)
    return (float(last[1]) - float(first[1])) / (int(last[0]) - int(first[0]))


def log_rows(out: Path) -> list[list[str]]:
    """Rows of metrics.csv."""
    rows = (out / "work" / "metrics.csv").read_text(encoding="utf-8").splitlines()
    return [row.split(",") for row in rows[1:]]


def log_of(out: Path) -> list[list[str]]:
    """Rows of metrics.csv without their times."""
    return [row[:1] + row[3:] for row in log_rows(out)]


def main() -> int:
    """Print what became of it; 0 if all agrees."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("project", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--steps", type=int, help="instead of --minutes")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("settings", nargs="*")
    arguments = parser.parse_args()
    project, work, settings = arguments.project, arguments.work, arguments.settings
    often = ["train.optimizer.checkpoint_every_s=2", *settings]
    steps = arguments.steps
    if steps is None:
        run_whole(command(project, work / "pace", PACE_STEPS, often))
        steps = max(50, round(60 * arguments.minutes / seconds_per_step(work / "pace")))
    whole = run_whole(command(project, work / "undisturbed", steps, often))
    draw = random.Random(arguments.seed)
    # Each life also has to start and to read; it gets a share of the rest of the training.
    share = whole / (arguments.kills + 1)
    lives = [draw.uniform(0.5, 1.5) * share + 8 for _ in range(arguments.kills)]
    struck = killed(command(project, work / "killed", steps, often), work / "killed", lives)
    folders = [work / "undisturbed", work / "killed"]
    weights = same(*(f / "detector.safetensors" for f in folders))
    logs = log_of(folders[0]) == log_of(folders[1])
    found = {
        "steps": steps,
        "seconds_undisturbed": round(whole, 1),
        "killed_at_steps": struck,
        "weights_bit_equal": weights,
        "logs_equal": logs,
    }
    print(json.dumps(found, indent=1))
    return 0 if weights and logs and len(struck) == arguments.kills else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""The whole path on phantoms: train, predict unseen runs with one stage and with two, score.

    python benchmarks/whole_path.py PHANTOM_SCRIPT WORK_FOLDER [--full-size] [key=value ...]

makes a training project (6 runs of 96x320x320, seed 1000) and a test project (3 runs, seed 2000)
with the phantom script, trains with experiment=cpu, and prints a table of scores, times and peak
memory. What is there already is not made again. Runs of the test project take part in no choice.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

BOX = ["--size", "96", "320", "320", "--crowding", "6"]


@dataclass(frozen=True)
class Finished:
    """One command that ended: what it printed, how long it took, its peak memory."""

    output: str
    seconds: float
    gigabytes: float


def call(words: list[str]) -> Finished:
    """Run a command to its end; its stderr goes to ours.

    Raises
    ------
    SystemExit
        If it fails.
    """
    print("$", " ".join(words), file=sys.stderr, flush=True)
    started = time.monotonic()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        output = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{words[0]} ended with {process.returncode}")
    return Finished(output, time.monotonic() - started, usage.ru_maxrss / 2**20)


def evaluated(picks: Path, truth: Path, *settings: str) -> dict[str, object]:
    """`cryo-pick evaluate --json`."""
    done = call(["cryo-pick", "evaluate", str(picks), str(truth), "--json", *settings])
    return dict(json.loads(done.output))


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("phantom", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--full-size", action="store_true", help="also one 184x630x630 run")
    args, settings = parser.parse_known_args()
    work: Path = args.work
    train, test, bundle = work / "train", work / "test", work / "bundle"
    for folder, runs, seed in ((train, "6", "1000"), (test, "3", "2000")):
        if not (folder / "copick_config.json").is_file():
            call(
                [
                    sys.executable,
                    str(args.phantom),
                    str(folder),
                    "--runs",
                    runs,
                    *BOX,
                    "--seed",
                    seed,
                ]
            )
    trained = call(
        ["cryo-pick", "train", str(train), "--out", str(bundle), *(settings or ["experiment=cpu"])]
    )
    rows, per_class = [], {}
    for stage in ("one", "two"):
        picks = work / f"{stage}.csv"
        done = call(
            ["cryo-pick", "predict", str(test), "--model", str(bundle), f"--{stage}-stage",
             "--out", str(picks), "--overwrite"]
        )  # fmt: skip
        score = evaluated(picks, test)
        per_class[stage] = score["per_class"]
        rows.append((stage, score["score"], done))
    print_tables(trained, rows, per_class)
    if args.full_size:
        full, one_run = work / "full", "data.runs=[TS_5_4]"
        if not (full / "copick_config.json").is_file():
            call([sys.executable, str(args.phantom), str(full), "--runs", "1", "--poses", "czii"])
        done = call(
            ["cryo-pick", "predict", str(full), "--model", str(bundle), "--two-stage",
             "--out", str(work / "full.csv"), "--overwrite", one_run]
        )  # fmt: skip
        score = evaluated(work / "full.csv", full, one_run)
        print(
            f"\nOne run of 184x630x630, two stages: {done.seconds:.0f} s with start-up, peak "
            f"memory {done.gigabytes:.2f} GiB. Its weighted F4: {score['score']:.3f}"
        )


def print_tables(
    trained: Finished, rows: list[tuple[str, object, Finished]], per_class: dict[str, object]
) -> None:
    """Markdown of the scores and of the costs."""
    print(
        f"\n`cryo-pick train`: {trained.seconds / 60:.1f} min, peak memory "
        f"{trained.gigabytes:.2f} GiB\n"
    )
    print("| stages | weighted F4 | predict, s | peak memory, GiB |")
    print("|---|---|---|---|")
    for stage, score, done in rows:
        print(f"| {stage} | {score:.3f} | {done.seconds:.0f} | {done.gigabytes:.2f} |")
    names = list(per_class["one"])  # type: ignore[call-overload]
    print(
        "\n| class | F4, one stage | two | precision, one stage | two | recall, one stage | two |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in names:
        one, two = (per_class[s][name] for s in ("one", "two"))  # type: ignore[index]
        cells = [f"{c[key]:.3f}" for key in ("f4", "precision", "recall") for c in (one, two)]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()

"""Coverage-guided fuzzing of every parser with atheris.

    python -m tests.fuzz.fuzz --seconds 60 [NAME ...]    # each harness for so long, then a table
    python -m tests.fuzz.fuzz --replay FILE NAME         # one input again, with its traceback

A crash leaves its input in the folder of `--crashes`; its harness goes on with the next.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ONE = "--harness"


def main() -> int:
    """Fuzz in one process per harness; 1 if one of them crashed."""
    if len(sys.argv) > 2 and sys.argv[1] == ONE:
        _fuzz_one(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="harnesses (all)")
    parser.add_argument("--seconds", type=int, default=60, help="for each harness (60)")
    parser.add_argument("--crashes", type=Path, default=Path("fuzz-crashes"), metavar="DIR")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="feed this input once")
    args = parser.parse_args()
    from tests.fuzz.harnesses import harnesses

    known = harnesses()
    if args.replay is not None:
        known[args.names[0]](args.replay.read_bytes())
        return 0
    args.crashes.mkdir(parents=True, exist_ok=True)
    print("| parser | executions | seconds | crashes |\n|---|---|---|---|", flush=True)
    rows = []
    for name in args.names or known:
        rows.append(_run(name, known[name].seeds, args.seconds, args.crashes))
        print(f"| {name} | {rows[-1][0]} | {rows[-1][1]:.0f} | {rows[-1][2]} |", flush=True)
    runs, seconds, crashes = (sum(column) for column in zip(*rows, strict=True))
    print(f"| all | {runs} | {seconds:.0f} | {crashes} |")
    return 1 if crashes else 0


def _run(
    name: str, seeds: tuple[bytes, ...], seconds: int, crashes: Path
) -> tuple[int, float, int]:
    """Executions, seconds and crashes of one harness, begun again after a crash."""
    runs, n_crashes, started = 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="corpus-") as corpus:
        for number, seed in enumerate(seeds):
            (Path(corpus) / f"seed{number}").write_bytes(seed)
        while (left := seconds - (time.monotonic() - started)) > 1 and n_crashes < 5:
            done = subprocess.run(
                [sys.executable, "-m", "tests.fuzz.fuzz", ONE, name, corpus,
                 f"-max_total_time={int(left)}", f"-artifact_prefix={crashes}/{name}-",
                 "-print_final_stats=1", "-max_len=4096", "-timeout=60", "-rss_limit_mb=4096"],
                capture_output=True, text=True, errors="replace", check=False,
            )  # fmt: skip
            found = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
            runs += int(found[1]) if found else 0
            if done.returncode:
                n_crashes += 1
                (crashes / f"{name}-{n_crashes}.log").write_text(done.stderr[-20_000:])
    return runs, time.monotonic() - started, n_crashes


def _fuzz_one(name: str, options: list[str]) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["cryo_pick"]):
        from tests.fuzz.harnesses import harnesses
    import contextlib
    import io
    import logging

    logging.disable(logging.CRITICAL)
    harness = harnesses()[name]

    def test_one_input(data: bytes) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            harness(data)

    atheris.Setup([sys.argv[0], *options], test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())

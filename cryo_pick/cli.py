"""The `cryo-pick` command line: from a project to picks, and all around it."""

from __future__ import annotations

from collections.abc import Sequence

from cryo_pick import command
from cryo_pick.command import Command

COMMANDS = (
    Command(
        "demo",
        "everything below on a simulated project, on a CPU, in minutes",
        "cryo_pick.commands.demo",
        configured=True,
        example="demo demo",
    ),
    Command(
        "simulate",
        "make a copick project of simulated tomograms with exact truth",
        "cryo_pick.commands.simulate",
        example="simulate project --runs 4 --size 96 256 256 --seed 1",
    ),
    Command(
        "inspect",
        "show what is in a project, and every problem found",
        "cryo_pick.commands.inspect",
        configured=True,
        example="inspect project",
    ),
    Command(
        "doctor",
        "show what this machine can run, and how to get what it lacks",
        "cryo_pick.commands.doctor",
        example="doctor",
    ),
    Command(
        "train",
        "train both stages on a project and fit their thresholds; goes on where it stopped",
        "cryo_pick.commands.train",
        configured=True,
        example="train project --out bundle experiment=cpu",
    ),
    Command(
        "tune",
        "search for the detector's settings that pick best; goes on where it stopped",
        "cryo_pick.commands.tune",
        configured=True,
        example="tune project --out search --trials 20 experiment=cpu",
    ),
    Command(
        "fit",
        "fit blend and thresholds on out-of-fold candidates, and write the bundle",
        "cryo_pick.commands.fit",
        configured=True,
        example="fit bundle",
    ),
    Command(
        "predict",
        "pick particles in tomograms",
        "cryo_pick.commands.predict",
        configured=True,
        example="predict project --model bundle --out picks.csv",
    ),
    Command(
        "threshold",
        "cut candidates again, without running a network",
        "cryo_pick.commands.threshold",
        example="threshold picks.predict --out picks.csv",
    ),
    Command(
        "evaluate",
        "score picks against the truth: official F4 and one-to-one counts",
        "cryo_pick.commands.evaluate",
        configured=True,
        example="evaluate picks.csv project",
    ),
    Command(
        "import",
        "read picks or volumes of other programs",
        "cryo_pick.commands.import_",
        configured=True,
        example="import particles.star --from relion5 --tomograms project --out picks.csv",
    ),
    Command(
        "export",
        "write picks or volumes for other programs",
        "cryo_pick.commands.export",
        configured=True,
        example="export picks.csv --to relion5 --tomograms project --out relion",
    ),
    Command(
        "export-model",
        "write a bundle's detectors as ONNX, OpenVINO or TensorRT, and compare them with torch",
        "cryo_pick.commands.export_model",
        configured=True,
        example="export-model bundle --format openvino --check project",
    ),
    Command(
        "bench",
        "show how fast this machine is, and how fast it could be",
        "cryo_pick.commands.bench",
        configured=True,
        example="bench infer --json",
    ),
    Command(
        "report",
        "write an HTML report with tables, curves and slices",
        "cryo_pick.commands.report",
        example="report bundle",
    ),
    Command(
        "view",
        "look at a run with its picks in Neuroglancer, with a score slider per class",
        "cryo_pick.commands.view",
        configured=True,
        example="view project --picks picks.predict --truth project",
    ),
    Command(
        "review",
        "judge doubtful candidates by keyboard; the next training learns from it",
        "cryo_pick.commands.review",
        configured=True,
        example="review project --candidates picks.predict",
    ),
    Command(
        "completion",
        "print a script that lets a shell complete commands and flags",
        "cryo_pick.commands.completion",
        example="completion bash",
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `cryo-pick`; the exit code."""
    return command.main("cryo-pick", COMMANDS, argv)

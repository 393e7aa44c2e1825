"""``cryo-pick export-model``: a bundle's detectors as ONNX, OpenVINO or TensorRT files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from cryo_pick.errors import ConfigError
from cryo_pick.json_output import add_json, only_json

if TYPE_CHECKING:
    from cryo_pick.config import Config
    from cryo_pick.pipeline.export import Parity


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add paths and flags."""
    parser.add_argument(
        "bundle", metavar="BUNDLE", type=Path, help="folder made by cryo-pick train"
    )
    parser.add_argument("--format", required=True, choices=("onnx", "openvino", "tensorrt"))
    parser.add_argument(
        "--out",
        dest="config.out",
        metavar="DIR",
        help="folder of the files; BUNDLE/exported/FORMAT without it",
    )
    parser.add_argument(
        "--check",
        metavar="PROJECT",
        help="copick project to pick with torch in fp32 and with the files, for the parity report",
    )
    add_json(parser)


def run(args: argparse.Namespace, config: Config | None) -> int:
    """Write the files, and the parity report where there is something to check on."""
    if config is None:
        raise ConfigError("export-model: no config")
    from cryo_pick.pipeline.export import check_parity, export_bundle, write_parity

    out = Path(config.out) if config.out else args.bundle / "exported" / args.format
    files = export_bundle(args.bundle, args.format, out, config.infer)
    with only_json(args.json) as answer:
        for path in files:
            print(path)
        if args.check is None:
            answer({"files": files, "report": None, "parity": None})
            print("no parity report; give --check PROJECT for one")
            return 0
        report = out / "parity.json"
        parity = check_parity(args.bundle, args.format, files, args.check, config)
        write_parity(report, parity)
        runs = {run: asdict(found) for run, found in parity.items()}
        answer({"files": files, "report": report, "parity": runs})
        _print_table(f"{args.format} against torch in fp32", parity)
        print(f"report: {report}")
    return 0


def _print_table(title: str, parity: Mapping[str, Parity]) -> None:
    """One run a row."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for heading in ("run", "largest difference", "picks", "of torch", "overlap", "F4", "of torch"):
        table.add_column(heading)
    for name, p in parity.items():
        f4 = [f"{v:.4f}" if v is not None else "no truth" for v in (p.f4, p.f4_torch)]
        table.add_row(
            name, f"{p.largest_difference:.1e}", str(p.picks), str(p.picks_torch),
            f"{p.overlap:.4f}", *f4,
        )  # fmt: skip
    Console().print(table)

"""Where the numbers and pictures of a training go: rows of CSV files, and loggers.

A logger is a small object with three methods; what it needs is imported only when it is asked for.
"""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from cryo_pick.errors import ConfigError
from cryo_pick.files import write_text_atomic

LOGGERS = ("csv", "tensorboard", "mlflow", "wandb")


class TrainingLogger(Protocol):
    """Takes numbers and pictures."""

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Keep the numbers of one step."""

    def picture(self, step: int, name: str, path: Path) -> None:
        """Keep a PNG."""

    def close(self) -> None:
        """Write what is not yet written."""


def open_logger(kind: str, folder: Path, step: int) -> TrainingLogger:
    """The logger of a name.

    Parameters
    ----------
    kind
        One of :data:`LOGGERS`. The CSV files are written whatever it is.
    folder
        Of the training; its name is the run's. mlflow and wandb take their server, if any, from
        their own environment variables.
    step
        Where the training goes on: what was logged after it is done again.

    Raises
    ------
    ConfigError
        If it is unknown or its package is not installed.
    """
    if kind not in _OPEN:
        raise ConfigError(f"logger: expected {', '.join(LOGGERS)}, but got {kind!r}")
    return _OPEN[kind](folder, step)


def _package(kind: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except ImportError as error:
        raise ConfigError(
            f"logger={kind}: {kind} is not installed; pip install {kind}, or use logger=csv"
        ) from error


class _CsvOnly:
    """Nothing besides the CSV files."""

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing to do."""

    def picture(self, step: int, name: str, path: Path) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class _TensorBoard:
    """Event files in FOLDER/tensorboard."""

    def __init__(self, folder: Path, step: int) -> None:
        module = _package("tensorboard", lambda: import_module("torch.utils.tensorboard"))
        # It says so itself where event files hold steps that will be done again.
        logging.getLogger("tensorboard").setLevel(logging.ERROR)
        self._writer = module.SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, step: int, name: str, path: Path) -> None:
        from matplotlib.image import imread

        image = imread(path)
        if image.ndim == 2:
            self._writer.add_image(name, image, step, dataformats="HW")
        else:
            self._writer.add_image(name, image[..., :3], step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


class _Mlflow:
    """A run of mlflow, gone on with where the folder remembers one."""

    def __init__(self, folder: Path, step: int) -> None:
        self._mlflow = _package("mlflow", lambda: import_module("mlflow"))
        kept = folder / "mlflow_run.txt"
        known = kept.read_text(encoding="utf-8") if step and kept.is_file() else None
        run = self._mlflow.start_run(run_id=known, run_name=None if known else folder.name)
        kept.write_text(run.info.run_id, encoding="utf-8")

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        finite = {k: v for k, v in values.items() if math.isfinite(v)}
        self._mlflow.log_metrics(finite, step=step)

    def picture(self, step: int, name: str, path: Path) -> None:
        self._mlflow.log_artifact(str(path), "previews")

    def close(self) -> None:
        self._mlflow.end_run()


class _Wandb:
    """A run of Weights & Biases, gone on with where the folder remembers one."""

    def __init__(self, folder: Path, step: int) -> None:
        self._wandb = _package("wandb", lambda: import_module("wandb"))
        kept = folder / "wandb_run.txt"
        known = kept.read_text(encoding="utf-8") if step and kept.is_file() else None
        self._run = self._wandb.init(
            dir=str(folder), name=folder.name, id=known, resume="allow", project="cryo-pick"
        )
        kept.write_text(self._run.id, encoding="utf-8")

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def picture(self, step: int, name: str, path: Path) -> None:
        self._run.log({name: self._wandb.Image(str(path))}, step=step)

    def close(self) -> None:
        self._run.finish()


_OPEN: dict[str, Callable[[Path, int], TrainingLogger]] = {
    "csv": lambda folder, step: _CsvOnly(),
    "tensorboard": _TensorBoard,
    "mlflow": _Mlflow,
    "wandb": _Wandb,
}


def append_row(path: Path, row: Mapping[str, float], numbers: Mapping[str, float]) -> None:
    """One more row of a CSV; a new file begins with the names."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*row, *numbers], lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow({**row, **{k: f"{v:.6g}" for k, v in numbers.items()}})


def forget_rows_after(log: Path, step: int) -> None:
    """Drop the log of steps that will be done again, and a row that a kill cut short."""
    if not log.is_file():
        return
    if step == 0:
        log.unlink()
        return
    header, *rows = log.read_text(encoding="utf-8").splitlines(keepends=True) or [""]

    def stays(row: str) -> bool:
        first = row.split(",")[0]
        whole = row.endswith("\n") and row.count(",") == header.count(",")
        return whole and first.isdigit() and int(first) <= step

    write_text_atomic(log, "".join([header, *filter(stays, rows)]))

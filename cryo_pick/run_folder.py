"""What every output folder holds: config.yaml, environment.json, run.log and summary.json."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryo_pick import __version__
from cryo_pick.errors import ConfigError, CryoPickError
from cryo_pick.files import write_text_atomic
from cryo_pick.logs import FILE_FORMAT

PACKAGES = (
    "torch", "monai", "timm", "lightning-fabric", "numpy", "scipy", "zarr", "numba",
    "hydra-core", "safetensors", "mrcfile", "openvino", "onnxruntime", "tensorrt",
)  # fmt: skip
"""Packages that a result may depend on."""


class RunFolder:
    """An output folder, as a context in which the log also goes to its run.log.

    Parameters
    ----------
    path
        Created if it is not there. What it holds already is kept, except config.yaml and
        environment.json; run.log is continued.
    config_yaml
        Of the config that the run uses, :func:`cryo_pick.config.to_yaml`; None: nothing to keep.
    argv
        The command line; None: of this process.
    writes
        False: leave the folder to another process that has the same one.

    Raises
    ------
    ConfigError
        If the folder can't be made or written to.
    """

    def __init__(
        self,
        path: str | Path,
        config_yaml: str | None = None,
        argv: Sequence[str] | None = None,
        *,
        writes: bool = True,
    ) -> None:
        self.path, self._writes = Path(path), writes
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{self.path}: expected a folder that can be made, but got: {error.strerror}; "
                "give another output folder"
            ) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise ConfigError(
                f"{self.path}: expected a folder that can be written to, but its permissions "
                "don't allow it; give another output folder"
            )
        self._config_yaml = config_yaml
        self._argv = list(sys.argv if argv is None else argv)
        self._handler: logging.Handler | None = None

    def __enter__(self) -> Self:
        if not self._writes:
            return self
        if self._config_yaml is not None:
            write_text_atomic(self.path / "config.yaml", redact(self._config_yaml))
        self._write_json("environment.json", environment(self._argv))
        self._handler = logging.FileHandler(self.path / "run.log", encoding="utf-8")
        self._handler.setFormatter(_RedactingFormatter(FILE_FORMAT))
        logging.getLogger().addHandler(self._handler)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handler is None:
            return
        if error is not None:
            self._handler.handle(_record_of(error))
        logging.getLogger().removeHandler(self._handler)
        self._handler.close()
        self._handler = None

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json: the results of the run, as plain values."""
        self._write_json("summary.json", summary)

    def _write_json(self, name: str, values: Mapping[str, Any]) -> None:
        """Write one JSON file of the folder, whole or not at all."""
        if not self._writes:
            return
        write_text_atomic(self.path / name, json.dumps(plain(values), indent=2) + "\n")


def environment(argv: Sequence[str]) -> dict[str, Any]:
    """What a result may depend on besides its config. No environment variables, no secrets."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "argv": [redact(word) for word in argv],
        "cryo_pick": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": usable_cpus(),
        "packages": {name: version for name in PACKAGES if (version := installed_version(name))},
    }


def usable_cpus() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def installed_version(package: str) -> str | None:
    """Version of a package without importing it; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def redact(text: str) -> str:
    """Text without the user names, passwords and query strings of the addresses in it."""
    text = re.sub(r"(\w://)[^/\s'\"@]+@", r"\1***@", text)
    return re.sub(r"(\w://[^\s'\"?]+\?)[^\s'\"]+", r"\1***", text)


def plain(value: Any) -> Any:
    """A value as JSON can hold it: arrays as lists, paths as text, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


class _RedactingFormatter(logging.Formatter):
    """Keeps secrets in addresses out of the log, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _record_of(error: BaseException) -> logging.LogRecord:
    """What run.log keeps of an error that ended the run; a traceback unless the user can act."""
    values: dict[str, Any] = {
        "name": __name__,
        "levelno": logging.ERROR,
        "levelname": "ERROR",
        "msg": f"stopped by {type(error).__name__}: {error}",
    }
    if not isinstance(error, CryoPickError | KeyboardInterrupt):
        values["exc_info"] = (type(error), error, error.__traceback__)
    return logging.makeLogRecord(values)

"""Stage 1 over one tomogram: heatmap and candidates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryo_pick.buffers import Buffers
from cryo_pick.candidates import Candidates
from cryo_pick.errors import InputError
from cryo_pick.files import atomic_path
from cryo_pick.formats.npz import read_npz
from cryo_pick.hardware import choose_device, on_gpu
from cryo_pick.memory import parse_memory
from cryo_pick.objects import ParticleTypes
from cryo_pick.threads import side_by_side
from cryo_pick.tomogram import Tomogram
from detector.candidates import candidates_of_peaks, heatmap_candidates
from detector.engine import Engine
from detector.half import rounded_to_half
from detector.heatmap import Heatmap
from detector.heatmap_file import HeatmapFile
from detector.infer import check_engines, heatmap_slabs, predict_heatmap
from detector.peaks import load_search
from detector.settings import CandidatesSettings, InferSettings
from detector.slab import planes_at_once
from detector.stream import PeakStream, peak_stream
from detector.tile_plan import plan_tiles
from detector.tiles import Shape

KEPT_IN_MEMORY = 0.08
"""A heatmap that takes more than this share of the memory lies in a file. That of a tomogram of the
reference task takes 0.07 of what its voxels leave of 2 GB."""


def find_candidates(
    tomogram: Tomogram,
    engines: Sequence[Engine],
    types: ParticleTypes,
    infer: InferSettings,
    candidates: CandidatesSettings,
) -> tuple[Heatmap, Candidates]:
    """Heatmap (mean over engines and views) of a normalised tomogram, and its candidates."""
    infer = replace(infer, views=infer.views or 1)
    heatmap = predict_heatmap(tomogram.volume, engines, infer, len(types), engines[0].output_stride)
    found = heatmap_candidates(heatmap, tomogram.voxel_spacing, tomogram.origin, candidates, types)
    return heatmap, found


@contextmanager
def stream_candidates(
    tomogram: Tomogram,
    engines: Sequence[Engine],
    types: ParticleTypes,
    infer: InferSettings,
    candidates: CandidatesSettings,
    folder: Path | None = None,
    buffers: Buffers | None = None,
) -> Iterator[tuple[HeatmapFile | NDArray[np.float16], Candidates]]:
    """The same candidates, and the heatmap, in a file where it is large, while this is open.

    Each slab of the heatmap is rounded to halves and searched for peaks when it is finished.

    Parameters
    ----------
    tomogram
        Normalised; its volume is read tile by tile.
    engines, types, infer, candidates
        As for :func:`find_candidates`.
    folder
        On whose disk the file lies; None: the system's folder for temporary files.
    buffers
        Whose memory tiles, slab and heatmap take; None: their own.
    """
    infer = replace(infer, views=infer.views or 1)
    stride = engines[0].output_stride
    check_engines(engines, infer, len(types), stride)
    plan = plan_tiles(tomogram.shape, engines, infer, len(types), stride)
    gpu = choose_device(infer.accelerator) if on_gpu(infer.accelerator) else None
    peaks = peak_stream(candidates, len(types), plan.cells, stride, gpu)
    with _kept(len(types), plan.cells, infer.memory, folder, buffers) as heatmap:
        slabs = heatmap_slabs(
            tomogram.volume, engines, plan, infer.views or 1, folder=folder, buffers=buffers,
            meanwhile=load_search,
        )  # fmt: skip
        _keep_and_search(slabs, heatmap, peaks)
        del slabs  # and with them tiles and slab
        yield (
            heatmap,
            candidates_of_peaks(
                peaks.finish(),
                heatmap,
                stride,
                tomogram.voxel_spacing,
                tomogram.origin,
                candidates,
                types,
            ),
        )


@contextmanager
def _kept(
    n_classes: int, cells: Shape, memory: str, folder: Path | None, buffers: Buffers | None
) -> Iterator[HeatmapFile | NDArray[np.float16]]:
    """Where a heatmap is kept: in memory if that is little of what there is, else in a file."""
    shape = (n_classes, *cells)
    if 2 * math.prod(shape) <= KEPT_IN_MEMORY * parse_memory(memory):
        yield (buffers or Buffers()).take("heatmap", shape, np.float16)
    else:
        with HeatmapFile(n_classes, cells, folder) as file:
            yield file


def _keep_and_search(
    slabs: Iterable[tuple[int, NDArray[np.float32]]],
    heatmap: HeatmapFile | NDArray[np.float16],
    peaks: PeakStream,
) -> None:
    """Keep slabs and search them, rounded to halves: what is searched the refiner will see."""
    for first, slab in slabs:
        if isinstance(heatmap, HeatmapFile):
            at_once = planes_at_once(len(slab), *slab.shape[2:])
            for plane in range(0, slab.shape[1], at_once):
                part = slab[:, plane : plane + at_once]
                heatmap.write(first + plane, side_by_side(rounded_to_half, part))
        else:
            side_by_side(rounded_to_half, slab, heatmap[:, first : first + slab.shape[1]])
        peaks.add(slab)


def write_heatmap(path: Path, heatmap: Heatmap) -> None:
    """Keep a heatmap for the refiner's training, as float16 npz with its stride."""
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez(file, values=heatmap.values.astype(np.float16), stride=np.array(heatmap.stride))


def read_heatmap(path: Path) -> Heatmap:
    """Read what :func:`write_heatmap` wrote.

    Raises
    ------
    InputError
        If it is missing or broken.
    """
    try:
        arrays = read_npz(path, ("values", "stride"))
        return Heatmap(arrays["values"], int(arrays["stride"].item()))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such heatmap; make it with: detector predict") from error
    except ValueError as error:
        raise InputError(f"{path}: damaged heatmap ({error}); delete it and run again") from error

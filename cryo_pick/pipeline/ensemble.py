"""`cryo-pick ensemble`: trained folders, of whatever presets, joined into one bundle.

Every member's detectors predict the runs that they never saw. From these heatmaps come the
member's quantile table and, averaged over members, the candidates that thresholds are fitted on.
Whether scores are matched by these tables before they are averaged is decided by the same runs.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryo_pick.candidates import Candidates
from cryo_pick.config import Config
from cryo_pick.errors import InputError, raise_all
from cryo_pick.files import write_text_atomic
from cryo_pick.formats.candidates_npz import write_candidates
from cryo_pick.logs import progress
from cryo_pick.objects import ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline.bundle import Bundle, read_bundle, write_bundle
from cryo_pick.pipeline.dataset import Dataset
from cryo_pick.pipeline.fit import fit_candidates
from cryo_pick.pipeline.results import fit_bundle, model_card, read_config
from cryo_pick.pipeline.train import DETECTORS
from cryo_pick.pipeline.train_folder import TrainFolder
from cryo_pick.settings import FitSettings
from cryo_pick.weights import load_network
from detector.candidates import heatmap_candidates
from detector.engine import make_engine
from detector.heatmap import Heatmap
from detector.infer import predict_heatmap
from detector.members import HEATMAP_STRIDE, at_heatmap_stride, coarsen
from detector.parts import output_stride
from detector.quantiles import LEVELS, fit_table, match_scores
from detector.settings import InferSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Member:
    """One trained folder in an ensemble.

    Attributes
    ----------
    name
        Of its detectors' files in the ensemble.
    folder
    bundle
    config
        As trained.
    weight
        In the mean.
    """

    name: str
    folder: Path
    bundle: Bundle
    config: Config
    weight: float


def open_members(folders: Sequence[Path], weights: Sequence[float] | None) -> list[Member]:
    """The members of an ensemble, checked against each other.

    Raises
    ------
    InputError
        If their classes, folds or voxel spacings differ, so that no run is unseen by all.
    """
    shares = [1.0] * len(folders) if weights is None else list(weights)
    members = [
        Member(f"m{i}", folder, read_bundle(folder), read_config(folder), weight)
        for i, (folder, weight) in enumerate(zip(folders, shares, strict=True))
    ]
    first, problems = members[0], []
    for member in members[1:]:
        for what in ("names", "folds", "voxel_spacing"):
            mine, theirs = (_of(m.bundle, what) for m in (first, member))
            if mine != theirs:
                problems.append(
                    f"{member.folder}: its {_WORDS[what]} are {theirs}, those of "
                    f"{first.folder} {mine}; train both on one project with the same folds"
                )
    raise_all(problems, InputError, "members of an ensemble")
    return members


_WORDS = {"names": "classes", "folds": "folds by run", "voxel_spacing": "voxel spacings"}


def _of(bundle: Bundle, what: str) -> Any:
    if what == "names":
        return bundle.types.names
    return bundle.folds if what == "folds" else round(bundle.voxel_spacing, 3)


def join_members(
    members: Sequence[Member], data: Dataset, out: Path, *, match: bool | None = None
) -> Bundle:
    """Predict out of fold with every member, fit tables and thresholds, and write the bundle.

    Parameters
    ----------
    members
        At least one; the scores of all are brought to the scale of the first.
    data
        The runs that they were trained on.
    out
        Folder of the new bundle.
    match
        Whether scores are made comparable by quantile tables; None: if that scores higher out of
        fold, thresholds fitted on the other folds. Matching lifts a member that is shy to the
        confidence of the first; where it is shy because it knows less, that costs.
    """
    config = members[0].config
    config = replace(config, infer=smallest_tiles([m.config.infer for m in members]))
    folds = members[0].bundle.folds
    stride = math.lcm(HEATMAP_STRIDE, *(_stride(m) for m in members))
    heatmaps = {m.name: _out_of_fold(m, data, folds, stride) for m in members}
    tables = {name: fit_table(of_run.values()) for name, of_run in heatmaps.items()}
    reference = tables[members[0].name]
    ways: dict[bool, dict[str, Candidates]] = {}
    for way in (False, True) if match is None else (match,):
        ways[way] = {}
        for run in folds:
            parts = [
                (m.weight, heatmaps[m.name][run], tables[m.name] if way else None) for m in members
            ]
            mean = Heatmap(_mean(parts, reference), stride)
            place = data.runs[run].tomogram
            ways[way][run] = heatmap_candidates(
                mean, place.voxel_spacing, place.origin, config.candidates, data.types
            )
    if match is None:
        truth = {run: data.runs[run].truth for run in folds}
        match = matching_helps(ways[False], ways[True], truth, data.types, folds, config.fit)
    folder = TrainFolder(out)
    for run, found in ways[match].items():
        write_candidates(folder.candidates(run), found, data.types.names, {"members": len(members)})
    _copy_weights(members, out)
    bundle, _ = fit_bundle(out, data, folds, config)
    described = {
        "levels": LEVELS.tolist(),
        "reference": reference.tolist() if match else None,
        "members": {
            f"detector/{m.name}-{Path(path).name}": {
                "weight": m.weight,
                "table": tables[m.name].tolist(),
                "from": m.config.model.network,
            }
            for m in members
            for path in m.bundle.detectors
        },
    }
    bundle = replace(bundle, ensemble=described)
    write_bundle(out, bundle)
    write_text_atomic(out / "model-card.md", model_card(bundle))
    return bundle


def matching_helps(
    as_they_are: Mapping[str, Candidates],
    matched: Mapping[str, Candidates],
    truth: Mapping[str, Picks],
    types: ParticleTypes,
    folds: Mapping[str, int],
    settings: FitSettings,
) -> bool:
    """Whether F4, thresholds fitted on the other folds, is higher where scores were matched.

    Parameters
    ----------
    as_they_are, matched
        By run: candidates of the members' mean heatmap, out of fold.
    truth, types, folds, settings
        See :func:`cryo_pick.pipeline.fit.fit_candidates`.
    """
    quick = replace(settings, bootstrap=1)  # no interval is asked for
    plain, by_rank = (
        fit_candidates(found, truth, types, folds, quick).fits["one_stage"].f4["nested"]
        for found in (as_they_are, matched)
    )
    helps = by_rank > plain
    logger.info(
        "F4 out of fold: %.3f with scores as they are, %.3f with scores matched: %s",
        plain, by_rank, "matched" if helps else "as they are",
    )  # fmt: skip
    return bool(helps)


def _stride(member: Member) -> int:
    spec = load_network(member.folder / member.bundle.detectors[0], DETECTORS)[1]
    return output_stride(spec.network)


def smallest_tiles(infer: Sequence[InferSettings]) -> InferSettings:
    """The first of several settings, with tiles that suit all: along each axis the smallest."""
    depth = min((i.depth for i in infer if i.depth), default=None)
    given = [i for i in infer if i.tile]
    if not given:
        return replace(infer[0], depth=depth)
    tile = [min(axis) for axis in zip(*(i.tile or [] for i in given), strict=True)]
    overlap = next((i.overlap for i in given if i.tile == tile), None)
    return replace(infer[0], depth=depth, tile=tile, overlap=overlap)


def _out_of_fold(
    member: Member, data: Dataset, folds: Mapping[str, int], stride: int
) -> dict[str, NDArray[np.float16]]:
    """Heatmaps of every run by the member's detector that never saw it, at the common stride."""
    infer = replace(member.config.infer, views=int(member.bundle.infer.get("views") or 1))
    found = {}
    with progress(f"Predicting out of fold with {member.folder.name}", len(folds), "runs") as done:
        for path in member.bundle.detectors:
            module, spec = load_network(member.folder / path, DETECTORS)
            unseen = [run for run in folds if run not in spec.trained_on and run not in found]
            stride_of = output_stride(spec.network)
            engine = at_heatmap_stride(
                make_engine(module, infer, stride_of, ranges=spec.int8_ranges)
            )
            for run in unseen:
                heatmap = predict_heatmap(
                    data.runs[run].tomogram.volume, [engine], infer, len(data.types),
                    engine.output_stride,
                )  # fmt: skip
                found[run] = coarsen(heatmap.values, stride // heatmap.stride).astype(np.float16)
                done(1)
    missing = sorted(set(folds) - set(found))
    if missing:
        raise InputError(
            f"{member.folder}: every detector of it has seen {', '.join(missing)}; "
            "train it with folds"
        )
    return found


def _mean(
    parts: Sequence[tuple[float, NDArray[np.floating], NDArray[np.float64] | None]],
    reference: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Weighted mean of heatmaps, each matched to the reference where it has a table."""
    total = sum(weight for weight, _, _ in parts)
    mean = np.zeros(parts[0][1].shape, np.float32)
    for weight, values, table in parts:
        matched = values if table is None else match_scores(values, table, reference)
        mean += np.float32(weight / total) * matched
    return mean


def _copy_weights(members: Sequence[Member], out: Path) -> None:
    (out / "detector").mkdir(parents=True, exist_ok=True)
    for member in members:
        for path in member.bundle.detectors:
            for ending in (".yaml", ".safetensors"):
                source = member.folder / f"{path}{ending}"
                shutil.copyfile(source, out / "detector" / f"{member.name}-{source.name}")

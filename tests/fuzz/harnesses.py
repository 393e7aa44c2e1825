"""One harness per parser: any bytes give a result or an error of ours, never another exception."""

from __future__ import annotations

import functools
import io
import json
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

from cryo_pick.candidates import Candidates
from cryo_pick.command_words import build_parser, parse_words
from cryo_pick.commands import predict
from cryo_pick.config import compose
from cryo_pick.errors import CryoPickError
from cryo_pick.formats.candidates_npz import read_candidates, write_candidates
from cryo_pick.formats.copick_config import parse_objects, read_config
from cryo_pick.formats.copick_picks import PicksName, parse_picks
from cryo_pick.formats.expansion import CODECS, check_expansion
from cryo_pick.formats.location import Location
from cryo_pick.formats.mrc import open_mrc, write_mrc
from cryo_pick.formats.ome_zarr import open_ome_zarr, write_ome_zarr
from cryo_pick.formats.picks_csv import read_csv
from cryo_pick.formats.star import read_star
from cryo_pick.memory import parse_memory
from cryo_pick.pipeline.bundle import read_bundle
from cryo_pick.pipeline.heatmaps import read_heatmap
from cryo_pick.pipeline.results import read_config as read_trained_config
from cryo_pick.weights import load_network
from tests.bad_input.scene import TYPES, make_bundle, make_project
from tests.fuzz.altered import altered_json

OURS = (CryoPickError,)


@dataclass(frozen=True)
class Harness:
    """A parser and what to begin with.

    Attributes
    ----------
    run
        Feeds bytes to the parser.
    seeds
        Valid or nearly valid bytes.
    refusal
        What it may raise.
    """

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...] = (b"",)
    refusal: tuple[type[BaseException], ...] = OURS

    def __call__(self, data: bytes) -> None:
        """Feed it; anything but a result or a refusal comes out as it is."""
        try:
            self.run(data)
        except self.refusal:
            return


@functools.cache
def _folder() -> Path:
    """Scratch for this process."""
    kept = tempfile.TemporaryDirectory(prefix="fuzz-")
    _KEPT.append(kept)
    return Path(kept.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def _written(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@functools.cache
def _bundle() -> Path:
    make_bundle(_folder() / "bundle")
    return _folder() / "bundle"


@functools.cache
def _project() -> Path:
    make_project(_folder() / "project")
    return _folder() / "project"


@functools.cache
def _image(name: str, compressor: str) -> Path:
    """A small OME-Zarr whose one chunk is coded with a compressor."""
    path = _folder() / name
    write_ome_zarr(path, np.zeros((4, 4, 4), np.float32), 10.0, levels=1)
    array = json.loads((path / "0/.zarray").read_text())
    array["compressor"] = {"id": compressor}
    (path / "0/.zarray").write_text(json.dumps(array))
    zarr.open_array(path / "0", mode="r+")[:] = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    return path


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _star(data: bytes) -> object:
    return read_star(_written("picks.star", data), TYPES)


def _csv(data: bytes) -> object:
    return read_csv(_written("picks.csv", data), TYPES)


def _copick_config(data: bytes) -> object:
    return parse_objects(read_config(Location.of(_written("config.json", data))), "config")


def _copick_config_altered(data: bytes) -> object:
    document = json.loads((_project() / "copick_config.json").read_text())
    return _copick_config(altered_json(document, data))


def _copick_picks(data: bytes) -> object:
    PicksName.parse(_text(data))
    return parse_picks(Location.of(_written("picks.json", data)).read_json(), "picks")


def _copick_picks_altered(data: bytes) -> object:
    path = next(_project().glob("overlay/ExperimentRuns/TS_1/Picks/*.json"))
    return _copick_picks(altered_json(json.loads(path.read_text()), data))


def _ome(data: bytes) -> object:
    path = _image("ome.zarr", "zstd")
    _written("ome.zarr/.zattrs", data)
    return open_ome_zarr(path)


def _ome_altered(data: bytes) -> object:
    axes = [{"name": n, "type": "space", "unit": "angstrom"} for n in "zyx"]
    transforms = [
        {"type": "scale", "scale": [10.0, 10.0, 10.0]},
        {"type": "translation", "translation": [5.0, 5.0, 5.0]},
    ]
    level = {"path": "0", "coordinateTransformations": transforms}
    image = {"version": "0.4", "axes": axes, "datasets": [level]}
    return _ome(altered_json({"multiscales": [image]}, data))


def _zarr_array(data: bytes) -> object:
    """Metadata of the array changed; a corner of what opens is read."""
    path = _image("array.zarr", "zstd")
    document = json.loads((_image("whole.zarr", "zstd") / "0/.zarray").read_text())
    _written("array.zarr/0/.zarray", altered_json(document, data))
    return open_ome_zarr(path).array[:2, :2, :2]


def _zarr_chunk(data: bytes) -> object:
    """The bytes of a chunk, coded with each compressor."""
    codec = CODECS[data[0] % len(CODECS)] if data else CODECS[0]
    path = _image(f"{codec}.zarr", codec)
    (path / "0/0/0/0").write_bytes(data[1:])
    return open_ome_zarr(path).array[:]


def _expansion(data: bytes) -> object:
    for codec in CODECS:
        check_expansion(codec, data, 4096)
    return None


def _mrc(data: bytes) -> object:
    return open_mrc(_written("volume.mrc", data)).volume[:1, :1, :1].sum()


def _candidates(data: bytes) -> object:
    return read_candidates(_written("candidates.npz", data))


def _heatmap(data: bytes) -> object:
    return read_heatmap(_written("heatmap.npz", data))


def _bundle_json(data: bytes) -> object:
    return read_bundle(_written("other/bundle.json", data).parent)


def _bundle_altered(data: bytes) -> object:
    document = json.loads((_bundle() / "bundle.json").read_text())
    return _bundle_json(altered_json(document, data))


def _network(data: bytes) -> object:
    weights = (_bundle() / "detector/fold0.safetensors").read_bytes()
    _written("network/fold0.safetensors", weights)
    path = _written("network/fold0.yaml", data)
    return load_network(path.with_suffix(""), "detector.networks")


def _network_altered(data: bytes) -> object:
    document = {
        "package": "detector.networks", "network": "shuffle_unet",
        "params": {"channels": [8, 8], "blocks": [1, 1]}, "classes": list(TYPES.names),
        "voxel_spacing": 20.0, "trained_on": ["TS_1"], "patch": 0, "extra": {"steps": 4},
    }  # fmt: skip
    return _network(altered_json(document, data))


def _trained_config(data: bytes) -> object:
    return read_trained_config(_written("trained/config.yaml", data).parent)


def _trained_config_altered(data: bytes) -> object:
    return _trained_config(altered_json(_default_config(), data))


@functools.cache
def _default_config() -> object:
    from dataclasses import asdict

    return asdict(compose())


def _overrides(data: bytes) -> object:
    return compose(_text(data).split("\n")[:3])


def _command_line(data: bytes) -> object:
    def arguments(parser: ArgumentParser) -> None:
        predict.arguments(parser)

    parser = build_parser("cryo-pick predict", "", "", True, arguments)
    return parse_words(_text(data).split("\0"), parser, True)


def _memory(data: bytes) -> object:
    return parse_memory(_text(data))


def _mrc_seed() -> bytes:
    write_mrc(_folder() / "seed.mrc", np.zeros((2, 3, 4), np.float32), 10.0)
    return (_folder() / "seed.mrc").read_bytes()


def _candidates_seed() -> bytes:
    found = Candidates(np.ones((2, 3)), np.ones((2, 2), np.float32))
    write_candidates(_folder() / "seed.npz", found, TYPES.names)
    return (_folder() / "seed.npz").read_bytes()


def _heatmap_seed() -> bytes:
    content = io.BytesIO()
    np.savez(content, values=np.zeros((2, 2, 2, 2), np.float16), stride=np.array(2))
    return content.getvalue()


_STAR_SEED = b"""data_optics
_rlnOpticsGroup 1
_rlnTomoTiltSeriesPixelSize 10.0

data_particles
loop_
_rlnTomoName #1
_rlnCoordinateX #2
_rlnCoordinateY #3
_rlnCoordinateZ #4
_rlnObjectName #5
TS_1 1 2 3 ribosome
'TS 2' 1.5 -2e1 3 "apo-ferritin" # comment
"""
_CENTERED_SEED = _STAR_SEED.replace(b"rlnCoordinateX", b"rlnCenteredCoordinateXAngst")
_CSV_SEED = b"id,experiment,particle_type,x,y,z,score\n0,TS_1,ribosome,1.0,2e1,-3,0.5\n"


def harnesses() -> dict[str, Harness]:
    """Every parser of bytes that come from outside, by name."""
    chunk = (_image("seed.zarr", "blosc") / "0/0/0/0").read_bytes()
    return {
        "star": Harness(_star, (_STAR_SEED, _CENTERED_SEED)),
        "csv": Harness(_csv, (_CSV_SEED,)),
        "copick-config": Harness(_copick_config, (b'{"pickable_objects": [{"name": "a"}]}',)),
        "copick-config-altered": Harness(_copick_config_altered),
        "copick-picks": Harness(_copick_picks, (b'{"points": [{"location": {"x": 1}}]}',)),
        "copick-picks-altered": Harness(_copick_picks_altered),
        "ome-zarr": Harness(_ome, (b'{"multiscales": [{"axes": []}]}',)),
        "ome-zarr-altered": Harness(_ome_altered),
        "zarr-array": Harness(_zarr_array),
        "zarr-chunk": Harness(_zarr_chunk, (b"\0" + chunk, b"\4\x28\xb5\x2f\xfd\x20\x00\x01\0\0")),
        "expansion": Harness(_expansion, (chunk, b"\x28\xb5\x2f\xfd"), (ValueError,)),
        "mrc": Harness(_mrc, (_mrc_seed(),)),
        "candidates": Harness(_candidates, (_candidates_seed(),)),
        "heatmap": Harness(_heatmap, (_heatmap_seed(),)),
        "bundle": Harness(_bundle_json, (b'{"format": 1, "types": []}',)),
        "bundle-altered": Harness(_bundle_altered),
        "network": Harness(_network, (b"package: detector.networks\nparams: {a: [1]}\n",)),
        "network-altered": Harness(_network_altered),
        "trained-config": Harness(_trained_config, (b"data: {project: x}\nfit: {beta: 4}\n",)),
        "trained-config-altered": Harness(_trained_config_altered),
        "overrides": Harness(_overrides, (b"fold=0", b"data=./x", b"train.crop=[32,32,32]")),
        "command-line": Harness(
            _command_line, (b"x.mrc\0--model\0b\0seed=1\0-vv",), (*OURS, SystemExit)
        ),
        "memory": Harness(_memory, (b"4GB", b"1.5 GiB"), (ValueError,)),
    }

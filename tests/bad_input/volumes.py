"""Bad volumes: MRC and OME-Zarr files that `predict` and `train` are given."""

from __future__ import annotations

import json
import os
import pickle
from typing import Any

import mrcfile
import numpy as np
import zarr

from tests.bad_input.case import case
from tests.bad_input.scene import SHAPE, RunsCode, Scene, edit_json, predict, train, volume

MRC, ZARR = "MRC volumes", "OME-Zarr volumes"


def _header(scene: Scene, **fields: Any) -> list[str]:
    """Predict on an MRC volume with some fields of its header changed."""
    path = scene.mrc()
    with mrcfile.open(path, "r+", permissive=True) as file:
        for name, value in fields.items():
            file.header[name] = value
    return predict(scene, path)


@case(MRC, "a file that is not there", 3, "nowhere.mrc", "no such file")
def _(scene: Scene) -> list[str]:
    return predict(scene, scene.root / "nowhere.mrc")


@case(MRC, "an empty file", 3, "TS_9.mrc", "no MRC file, or a damaged one")
def _(scene: Scene) -> list[str]:
    return predict(scene, scene.text("TS_9.mrc", ""))


@case(MRC, "a text file called .mrc", 3, "TS_9.mrc", "broken MRC header")
def _(scene: Scene) -> list[str]:
    return predict(scene, scene.text("TS_9.mrc", "not a volume\n" * 200))


@case(MRC, "a file cut short", 3, "TS_9.mrc", "cut short", "takes 50176 bytes", "has 30000")
def _(scene: Scene) -> list[str]:
    path = scene.mrc()
    path.write_bytes(path.read_bytes()[:30000])
    return predict(scene, path)


@case(MRC, "a header without voxel spacing", 3, "TS_9.mrc", "voxel spacing", "means unknown",
      "data.voxel_spacing=Å")  # fmt: skip
def _(scene: Scene) -> list[str]:
    return _header(scene, cella=(0, 0, 0))


@case(MRC, "a voxel spacing of 1 Å", 3, "TS_9.mrc", "is 1, 1, 1 Å (z, y, x)", "means unknown")
def _(scene: Scene) -> list[str]:
    return predict(scene, scene.mrc(spacing=1.0))


@case(MRC, "a voxel spacing far from the bundle's", 3, "TS_9", "100.000 Å", "20.000 Å", "bin it")
def _(scene: Scene) -> list[str]:
    return predict(scene, scene.mrc(spacing=100.0))


@case(MRC, "complex numbers", 3, "TS_9.mrc", "expected real numbers", "complex")
def _(scene: Scene) -> list[str]:
    return _header(scene, mode=4)


@case(MRC, "axes in another order", 3, "TS_9.mrc", "along x, y, z", "(3, 2, 1)")
def _(scene: Scene) -> list[str]:
    return _header(scene, mapc=3, mapr=2, maps=1)


@case(MRC, "a picture, not a volume", 3, "TS_9.mrc", "expected a volume (d, h, w)")
def _(scene: Scene) -> list[str]:
    path = scene.root / "TS_9.mrc"
    with mrcfile.new(path) as file:
        file.set_data(volume()[0])
        file.voxel_size = 20.0
    return predict(scene, path)


@case(MRC, "a negative size", 3, "TS_9.mrc", "MRC header")
def _(scene: Scene) -> list[str]:
    return _header(scene, nx=-32)


@case(MRC, "an origin that is no number", 3, "TS_9.mrc", "`origin`", "nan")
def _(scene: Scene) -> list[str]:
    return _header(scene, origin=(np.nan, 0, 0))


@case(MRC, "NaN in the voxels", 3, "TS_9", "1 of 12288", "NaN or infinite")
def _(scene: Scene) -> list[str]:
    path = scene.mrc()
    with mrcfile.mmap(path, "r+") as file:
        file.data[3, 4, 5] = np.nan
    return predict(scene, path)


@case(MRC, "every voxel the same", 3, "TS_9", "the volume is constant")
def _(scene: Scene) -> list[str]:
    path = scene.mrc()
    with mrcfile.mmap(path, "r+") as file:
        file.data[:] = 7
    return predict(scene, path)


@case(MRC, "two files that would be one run", 3, "TS_9.mrc", "TS_9.rec", "the same run")
def _(scene: Scene) -> list[str]:
    (scene.root / "volumes").mkdir()
    for name in ("volumes/TS_9.mrc", "volumes/TS_9.rec"):
        scene.mrc(name)
    return predict(scene, scene.root / "volumes")


@case(MRC, "a folder without volumes", 3, "empty", "nothing to predict in this folder", ".zarr")
def _(scene: Scene) -> list[str]:
    scene.text("empty/readme.txt", "hello")
    return predict(scene, scene.root / "empty")


@case(MRC, "a file of another kind", 3, "picture.png", "can't be used as input", "OME-Zarr")
def _(scene: Scene) -> list[str]:
    return predict(scene, scene.text("picture.png", b"\x89PNG"))


@case(MRC, "one bad volume among good ones: these are picked", 4, "TS_8", "every sampled voxel")
def _(scene: Scene) -> list[str]:
    with mrcfile.mmap(scene.mrc("TS_8.mrc"), "r+") as file:
        file.data[:] = 0
    return predict(scene, scene.root / "TS_8.mrc", scene.mrc(), more=("--one-stage",))


def _attributes(scene: Scene, **changes: Any) -> list[str]:
    """Predict on an OME-Zarr with fields of its one image's metadata changed; ... removes one."""
    path = scene.zarr()
    values = json.loads((path / ".zattrs").read_text())
    image = values["multiscales"][0] | changes
    values["multiscales"][0] = {k: v for k, v in image.items() if v is not ...}
    (path / ".zattrs").write_text(json.dumps(values))
    return predict(scene, path)


def _dataset(scene: Scene, **changes: Any) -> list[str]:
    """The same for its finest level."""
    transforms = [{"type": "scale", "scale": [20.0, 20.0, 20.0]}]
    level = {"path": "0", "coordinateTransformations": transforms} | changes
    return _attributes(scene, datasets=[level])


def _array(scene: Scene, **changes: Any) -> list[str]:
    """The same for the array of its finest level."""
    path = scene.zarr()
    edit_json(path / "0/.zarray", **changes)
    return predict(scene, path)


def _chunk(scene: Scene, content: bytes, **changes: Any) -> list[str]:
    """The same with another content of its one chunk."""
    words = _array(scene, **changes)
    (scene.root / "TS_9.zarr/0/0/0/0").write_bytes(content)
    return words


def _axes(*names: str, unit: str = "angstrom") -> list[dict[str, str]]:
    return [{"name": n, "type": "space", "unit": unit} for n in names]


@case(ZARR, "metadata that is no JSON", 3, "TS_9.zarr/.zattrs", "not valid JSON")
def _(scene: Scene) -> list[str]:
    (scene.zarr() / ".zattrs").write_text('{"multiscales": [')
    return predict(scene, scene.root / "TS_9.zarr")


@case(ZARR, "no `multiscales`", 3, "TS_9.zarr", "`multiscales` is missing or empty")
def _(scene: Scene) -> list[str]:
    (scene.zarr() / ".zattrs").write_text("{}")
    return predict(scene, scene.root / "TS_9.zarr")


@case(ZARR, "axes x, y, z", 3, "TS_9.zarr", "expected the axes z, y, x, but got x, y, z")
def _(scene: Scene) -> list[str]:
    return _attributes(scene, axes=_axes("x", "y", "z"))


@case(ZARR, "channels", 3, "TS_9.zarr", "expected the axes z, y, x, but got c, z, y, x")
def _(scene: Scene) -> list[str]:
    return _attributes(scene, axes=_axes("c", "z", "y", "x"))


@case(ZARR, "a unit that is no length", 3, "TS_9.zarr", "unit of z", "angstrom", "'second'")
def _(scene: Scene) -> list[str]:
    return _attributes(scene, axes=_axes("z", "y", "x", unit="second"))


@case(ZARR, "no levels", 3, "TS_9.zarr", "`datasets` lists no level")
def _(scene: Scene) -> list[str]:
    return _attributes(scene, datasets=[])


@case(ZARR, "a scale of 0", 3, "TS_9.zarr", "expected a scale above 0", "0.0")
def _(scene: Scene) -> list[str]:
    scale = [{"type": "scale", "scale": [0.0, 20.0, 20.0]}]
    return _dataset(scene, coordinateTransformations=scale)


@case(ZARR, "a scale in words", 3, "TS_9.zarr", "scale of level 0 to be 3 numbers", "'ten'")
def _(scene: Scene) -> list[str]:
    scale = [{"type": "scale", "scale": ["ten", "ten", "ten"]}]
    return _dataset(scene, coordinateTransformations=scale)


@case(ZARR, "no scale", 3, "TS_9.zarr", "level 0 has no scale", "voxel spacing is unknown")
def _(scene: Scene) -> list[str]:
    return _dataset(scene, coordinateTransformations=[])


@case(ZARR, "a level outside the image", 3, "TS_9.zarr", "inside the image", "'../../secret'")
def _(scene: Scene) -> list[str]:
    return _dataset(scene, path="../../secret")


@case(ZARR, "a level that is not there", 3, "TS_9.zarr", "no zarr array at", "TS_9.zarr/7")
def _(scene: Scene) -> list[str]:
    return _dataset(scene, path="7")


@case(ZARR, "array metadata cut short", 3, "TS_9.zarr", "broken zarr metadata")
def _(scene: Scene) -> list[str]:
    (scene.zarr() / "0/.zarray").write_text('{"shape": [16, 24')
    return predict(scene, scene.root / "TS_9.zarr")


@case(ZARR, "four dimensions", 3, "TS_9.zarr/0", "expected a volume (d, h, w)", "(1, 16, 24, 32)")
def _(scene: Scene) -> list[str]:
    return _array(scene, shape=[1, *SHAPE], chunks=[1, *SHAPE])


@case(ZARR, "complex numbers", 3, "TS_9.zarr/0", "expected real numbers", "complex64")
def _(scene: Scene) -> list[str]:
    return _array(scene, dtype="<c8", fill_value=None)


@case(ZARR, "a shape that promises 10 TB", 3, "TS_9.zarr/0", "shape (16384, 16384, 16384)",
      "voxels", "can be read")  # fmt: skip
def _(scene: Scene) -> list[str]:
    return _array(scene, shape=[16384] * 3, chunks=[512] * 3)


@case(ZARR, "a billion chunks", 3, "TS_9.zarr/0", "1073741824 chunks", "larger chunks")
def _(scene: Scene) -> list[str]:
    return _array(scene, shape=[1024] * 3, chunks=[1] * 3)


@case(ZARR, "a chunk of 4 TB", 3, "TS_9.zarr/0", "a chunk takes 4096.0 GiB", "smaller chunks")
def _(scene: Scene) -> list[str]:
    return _array(scene, chunks=[16384, 8192, 8192])


@case(ZARR, "chunks of nothing", 3, "TS_9.zarr/0", "broken zarr metadata", "chunks")
def _(scene: Scene) -> list[str]:
    return _array(scene, chunks=[0, 24, 32])


@case(ZARR, "a codec that runs code", 3, "TS_9.zarr", "pickle")
def _(scene: Scene) -> list[str]:
    payload = pickle.dumps(RunsCode(scene.root / "ran"))
    return _chunk(scene, payload, compressor={"id": "pickle", "protocol": 5})


@case(ZARR, "a filter that makes no numbers", 3, "TS_9.zarr/0", "base64", "not read", "zstd")
def _(scene: Scene) -> list[str]:
    return _array(scene, filters=[{"id": "base64"}])


@case(ZARR, "a compressor that nobody knows", 3, "TS_9.zarr", "broken zarr metadata", "nosuch")
def _(scene: Scene) -> list[str]:
    return _array(scene, compressor={"id": "nosuch"})


@case(ZARR, "a missing chunk", 3, "TS_9", "1 of 1 chunk files", "missing or empty", "0/0/0")
def _(scene: Scene) -> list[str]:
    words = predict(scene, scene.zarr())
    (scene.root / "TS_9.zarr/0/0/0/0").unlink()
    return words


@case(ZARR, "a chunk cut short", 3, "TS_1", "can't read the voxels", "damaged or cut short")
def _(scene: Scene) -> list[str]:
    chunk = scene.chunk()
    chunk.write_bytes(chunk.read_bytes()[:5000])
    return train(scene)


@case(ZARR, "a Blosc chunk cut short", 3, "TS_9", "0/0/0", "cut short", "40 bytes instead of 5000")
def _(scene: Scene) -> list[str]:
    head = b"\x02\x01\x31\x04" + (49152).to_bytes(4, "little") * 2 + (5000).to_bytes(4, "little")
    return _chunk(scene, head + bytes(24), compressor={"id": "blosc"})


@case(ZARR, "a chunk that expands to 2 GB", 3, "TS_9.zarr/0", "0/0/0", "would expand beyond",
      "decode to 2000000000")  # fmt: skip
def _(scene: Scene) -> list[str]:
    size = 2_000_000_000
    head = b"\x02\x01\x31\x04" + size.to_bytes(4, "little") * 2 + (40).to_bytes(4, "little")
    return _chunk(scene, head + bytes(24), compressor={"id": "blosc"})


@case(ZARR, "a chunk file of 1 TB", 3, "TS_9.zarr/0", "0/0/0", "1099511627776 bytes, more than")
def _(scene: Scene) -> list[str]:
    words = predict(scene, scene.zarr())
    os.truncate(scene.root / "TS_9.zarr/0/0/0/0", 2**40)  # sparse: it takes no room
    return words


@case(ZARR, "NaN in the voxels, of two runs at once", 3, "TS_1", "TS_2", "NaN or infinite")
def _(scene: Scene) -> list[str]:
    for image in sorted(scene.project.rglob("wbp.zarr")):
        zarr.open_array(str(image / "0"), mode="r+")[3, 4, 5] = np.nan
    return train(scene)


@case(ZARR, "metadata that is a pipe without end", 3, "TS_9.zarr/.zattrs", "no regular file")
def _(scene: Scene) -> list[str]:
    attributes = scene.zarr() / ".zattrs"
    attributes.unlink()
    os.mkfifo(attributes)
    return predict(scene, scene.root / "TS_9.zarr")

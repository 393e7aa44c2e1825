"""Bad bundles, predictions and trained folders, from accidents and from strangers."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.bad_input.case import case
from tests.bad_input.scene import FAST, TYPES, RunsCode, Scene, edit_json, predict

BUNDLE, WEIGHTS, FOLDER = "Bundles", "Weights in a bundle", "Folders of predict and train"


def _bundle(scene: Scene, **fields: Any) -> list[str]:
    """Predict with fields of bundle.json changed; ... removes one."""
    edit_json(scene.bundle / "bundle.json", **fields)
    return predict(scene, scene.project)


def _field(scene: Scene, *place: str | int, value: Any) -> list[str]:
    """The same for a field inside others."""
    path = scene.bundle / "bundle.json"
    values = json.loads(path.read_text())
    inner = values
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(values))
    return predict(scene, scene.project)


@case(BUNDLE, "a folder that is none", 3, "no bundle here (bundle.json is missing)", "train")
def _(scene: Scene) -> list[str]:
    (scene.bundle / "bundle.json").unlink()
    return predict(scene, scene.project)


@case(BUNDLE, "a bundle.json cut short", 3, "bundle/bundle.json", "not readable as JSON")
def _(scene: Scene) -> list[str]:
    path = scene.bundle / "bundle.json"
    path.write_text(path.read_text()[:15])
    return predict(scene, scene.project)


@case(BUNDLE, "a bundle.json that is a list", 3, "expected a bundle of format 1, but got 'list'")
def _(scene: Scene) -> list[str]:
    (scene.bundle / "bundle.json").write_text("[]")
    return predict(scene, scene.project)


@case(BUNDLE, "a format from the future", 3, "expected a bundle of format 1, but got 99")
def _(scene: Scene) -> list[str]:
    return _bundle(scene, format=99)


@case(BUNDLE, "no classes", 3, "bundle.json", "types: expected a list of at least one class",
      "missing")  # fmt: skip
def _(scene: Scene) -> list[str]:
    return _bundle(scene, types=...)


@case(BUNDLE, "a radius in words", 3, "types[0].radius", "a number of Å above 0", "'big'")
def _(scene: Scene) -> list[str]:
    return _field(scene, "types", 0, "radius", value="big")


@case(BUNDLE, "a voxel spacing that is no number", 3, "voxel_spacing: expected", "'10 A'")
def _(scene: Scene) -> list[str]:
    return _bundle(scene, voxel_spacing="10 A")


@case(BUNDLE, "no detector", 3, "detectors: expected a list of at least one path, but got []")
def _(scene: Scene) -> list[str]:
    return _bundle(scene, detectors=[])


@case(BUNDLE, "a detector outside the bundle", 3, "'../../etc/passwd' lies outside the bundle")
def _(scene: Scene) -> list[str]:
    return _bundle(scene, detectors=["../../etc/passwd"])


@case(BUNDLE, "a detector behind a link that leads out", 3, "fold0.safetensors", "a link", "copy")
def _(scene: Scene) -> list[str]:
    weights = scene.bundle / "detector/fold0.safetensors"
    weights.rename(scene.root / "elsewhere.safetensors")
    weights.symlink_to(scene.root / "elsewhere.safetensors")
    return predict(scene, scene.project)


@case(BUNDLE, "too few thresholds", 3, "fits.one_stage.thresholds", "each of 2 classes", "[]")
def _(scene: Scene) -> list[str]:
    return _field(scene, "fits", "one_stage", "thresholds", value=[])


@case(BUNDLE, "a threshold of 2", 3, "thresholds[0].threshold", "score from 0 to 1", "got 2")
def _(scene: Scene) -> list[str]:
    return _field(scene, "fits", "one_stage", "thresholds", 0, "threshold", value=2)


@case(BUNDLE, "a blend that is not finite", 3, "fits.two_stage.blend.bias", "a number", "nan")
def _(scene: Scene) -> list[str]:
    return _field(scene, "fits", "two_stage", "blend", "bias", value=[0.0, float("nan")])


@case(BUNDLE, "one stage that wants the second", 3, "fits.one_stage.blend.stage2: expected 0")
def _(scene: Scene) -> list[str]:
    return _field(scene, "fits", "one_stage", "blend", "stage2", value=[0.0, 0.5])


@case(BUNDLE, "a setting that is none", 3, "bundle.json", "candidates.treshold",
      "closest: candidates.threshold")  # fmt: skip
def _(scene: Scene) -> list[str]:
    return _field(scene, "candidates", "treshold", value=0.2)


@case(BUNDLE, "three test-time views", 3, "bundle.json", "infer.views: expected one of 1, 2")
def _(scene: Scene) -> list[str]:
    return _field(scene, "infer", "views", value=3)


@case(BUNDLE, "a setting that reads the environment", 3, "bundle.json", "plain values", "${...}")
def _(scene: Scene) -> list[str]:
    return _field(scene, "infer", "memory", value="${oc.env:HOME}")


@case(BUNDLE, "two stages asked of a bundle with one", 2, "no refiner", "--one-stage")
def _(scene: Scene) -> list[str]:
    edit_json(scene.bundle / "bundle.json", refiners=[])
    return predict(scene, scene.project, more=("--two-stage",))


@case(BUNDLE, "other classes than the project's, with --copick", 2, "--copick", "virus")
def _(scene: Scene) -> list[str]:
    objects = json.loads(scene.config.read_text())["pickable_objects"]
    objects.append({"name": "virus", "label": 9, "radius": 99})
    edit_json(scene.config, pickable_objects=objects)
    return predict(scene, scene.project, more=("--copick",))


def _described(scene: Scene, **fields: Any) -> list[str]:
    """Predict with fields of the detector's description changed; YAML holds JSON."""
    path = scene.bundle / "detector/fold0.yaml"
    values: dict[str, Any] = {
        "package": "detector.networks",
        "network": "shuffle_unet",
        "params": {"channels": [8, 8], "blocks": [1, 1]},
        "classes": list(TYPES.names),
        "voxel_spacing": 20.0,
        "trained_on": [],
        "patch": 0,
        "extra": {},
    }
    path.write_text(json.dumps(values | fields))
    return predict(scene, scene.project)


def _yaml(scene: Scene, text: str) -> list[str]:
    (scene.bundle / "detector/fold0.yaml").write_text(text)
    return predict(scene, scene.project)


@case(WEIGHTS, "a missing description", 3, "detector/fold0.yaml", "no such file", "side by side")
def _(scene: Scene) -> list[str]:
    (scene.bundle / "detector/fold0.yaml").unlink()
    return predict(scene, scene.project)


@case(WEIGHTS, "a YAML tag that runs code", 3, "fold0.yaml", "not readable as YAML", "python")
def _(scene: Scene) -> list[str]:
    return _yaml(scene, f"!!python/object/apply:os.mkdir [{scene.root / 'ran'}]")


@case(WEIGHTS, "YAML references that multiply", 3, "fold0.yaml", "more than 10000 values")
def _(scene: Scene) -> list[str]:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    return _yaml(scene, "\n".join(lines))


@case(WEIGHTS, "a network that is not ours", 3, "fold0.yaml", "no part 'os.system'", "known:")
def _(scene: Scene) -> list[str]:
    return _described(scene, network="os.system")


@case(WEIGHTS, "a package that is not ours", 3, "fold0.yaml", "detector.networks", "got 'os'")
def _(scene: Scene) -> list[str]:
    return _described(scene, package="os")


@case(WEIGHTS, "a Hydra `_target_`", 3, "fold0.yaml", "params._target_", "no such setting")
def _(scene: Scene) -> list[str]:
    return _described(scene, params={"_target_": "os.system", "command": "true"})


@case(WEIGHTS, "a network of a million channels", 3, "fold0.yaml", "params should be", "4096")
def _(scene: Scene) -> list[str]:
    return _described(scene, params={"channels": [10**6, 10**6], "blocks": [1, 1]})


@case(WEIGHTS, "a network that no memory holds", 3, "size mismatch", "numbers, the file holds")
def _(scene: Scene) -> list[str]:
    return _described(scene, params={"channels": [4096] * 9, "blocks": [50] * 9})


@case(WEIGHTS, "a network for other classes", 3, "fold0.yaml", "ribosome, apo-ferritin", "got a, b")
def _(scene: Scene) -> list[str]:
    return _described(scene, classes=["a", "b"])


@case(WEIGHTS, "weights cut short", 3, "fold0.safetensors", "not the weights", "fold0.yaml")
def _(scene: Scene) -> list[str]:
    path = scene.bundle / "detector/fold0.safetensors"
    path.write_bytes(path.read_bytes()[:500])
    return predict(scene, scene.project)


@case(WEIGHTS, "a pickle instead of weights", 3, "fold0.safetensors", "not the weights")
def _(scene: Scene) -> list[str]:
    path = scene.bundle / "detector/fold0.safetensors"
    torch.save(RunsCode(scene.root / "ran"), path)
    return predict(scene, scene.project)


@case(WEIGHTS, "a refiner of another patch", 3, "refiner/fold0.yaml", "patch 16", "got 24")
def _(scene: Scene) -> list[str]:
    path = scene.bundle / "refiner/fold0.yaml"
    path.write_text(path.read_text().replace("patch: 16", "patch: 24"))
    return predict(scene, scene.project)


@case(WEIGHTS, "int8 ranges that hold no 0", 3, "detector/fold0.yaml", "int8_ranges should be",
      "one up to 0 and one from 0")  # fmt: skip
def _(scene: Scene) -> list[str]:
    path = scene.bundle / "detector/fold0.yaml"
    path.write_text(path.read_text().replace("int8_ranges: {}", "int8_ranges: {stem: [1.0, 2.0]}"))
    return predict(scene, scene.project)


@case(WEIGHTS, "int8 ranges of no layer", 3, "detector/fold0", "int8_ranges of nowhere, no layer")
def _(scene: Scene) -> list[str]:
    path = scene.bundle / "detector/fold0.yaml"
    changed = path.read_text().replace("int8_ranges: {}", "int8_ranges: {nowhere: [0.0, 2.0]}")
    path.write_text(changed)
    return predict(scene, scene.project)


def _threshold(scene: Scene, *more: str) -> list[str]:
    return ["threshold", str(scene.predicted), "--out", str(scene.root / "out/picks.csv"), *more]


def _candidates(scene: Scene, arrays: dict[str, Any], pickled: bool = False) -> list[str]:
    """Cut candidates again that hold other arrays."""
    path = scene.predicted / "runs/TS_1/candidates.npz"
    with np.load(path) as file:
        own = {name: file[name] for name in file.files}
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in (own | arrays).items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asanyarray(array), allow_pickle=pickled)
            archive.writestr(f"{name}.npy", content.getvalue())
    return _threshold(scene)


@case(FOLDER, "no candidates", 3, "predicted", "no runs/*/candidates.npz here", "predict")
def _(scene: Scene) -> list[str]:
    for path in scene.predicted.glob("runs/*/candidates.npz"):
        path.unlink()
    return _threshold(scene)


@case(FOLDER, "candidates that are no archive", 3, "TS_1/candidates.npz", "BadZipFile")
def _(scene: Scene) -> list[str]:
    (scene.predicted / "runs/TS_1/candidates.npz").write_text("none")
    return _threshold(scene)


@case(FOLDER, "candidates cut short", 3, "TS_1/candidates.npz", "a damaged one")
def _(scene: Scene) -> list[str]:
    path = scene.predicted / "runs/TS_1/candidates.npz"
    path.write_bytes(path.read_bytes()[:-100])
    return _threshold(scene)


@case(FOLDER, "pickled candidates", 3, "TS_1/candidates.npz", "array of numbers", "object")
def _(scene: Scene) -> list[str]:
    payload = np.array([RunsCode(scene.root / "ran")], object)
    return _candidates(scene, {"positions": payload}, pickled=True)


@case(FOLDER, "candidates that promise 10 TB", 3, "candidates.npz", "promises shape", "bytes")
def _(scene: Scene) -> list[str]:
    words = _candidates(scene, {})
    path = scene.predicted / "runs/TS_1/candidates.npz"
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (400000000000, 3)}".ljust(117)
    with zipfile.ZipFile(path, "a") as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        members["positions.npy"] = b"\x93NUMPY\x01\x00\x76\x00" + head + b"\n" + bytes(240)
        for name, content in members.items():
            archive.writestr(name, content)
    return words


@case(FOLDER, "candidates with NaN", 3, "TS_1/candidates.npz", "`positions` to be finite")
def _(scene: Scene) -> list[str]:
    return _candidates(scene, {"positions": np.full((5, 3), np.nan)})


@case(FOLDER, "candidates of other shapes", 3, "candidates.npz", "`stage1` to be (5, k)")
def _(scene: Scene) -> list[str]:
    return _candidates(scene, {"stage1": np.ones((4, 2), np.float32)})


@case(FOLDER, "a threshold for an unknown class", 2, "class ribosom", "known: ribosome")
def _(scene: Scene) -> list[str]:
    return _threshold(scene, "--set", "ribosom=0.3")


@case(FOLDER, "a threshold that is no score", 2, "--set ribosome=7", "score from 0 to 1")
def _(scene: Scene) -> list[str]:
    return _threshold(scene, "--set", "ribosome=7")


@case(FOLDER, "STAR asked of candidates without voxel spacing", 3, "candidates.npz", "STAR")
def _(scene: Scene) -> list[str]:
    words = _candidates(scene, {"about": _about({"classes": list(TYPES.names), "metadata": {}})})
    return [w.replace("picks.csv", "picks.star") for w in words]


def _about(values: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(json.dumps(values).encode(), np.uint8)


def _fit(scene: Scene, text: str | None = None, **settings: Any) -> list[str]:
    """Fit a trained folder with another config.yaml."""
    path: Path = scene.trained / "config.yaml"
    path.write_text(json.dumps(settings) if text is None else text)
    return ["fit", str(scene.trained)]


@case(FOLDER, "a folder that was not trained", 3, "trained", "config.yaml is missing")
def _(scene: Scene) -> list[str]:
    (scene.trained / "config.yaml").unlink()
    return ["fit", str(scene.trained)]


@case(
    FOLDER, "a fit with a setting of the training", 2, "train.optimizer.steps=5", "of fit and data"
)
def _(scene: Scene) -> list[str]:
    return ["fit", str(scene.trained), "train.optimizer.steps=5", "fit.beta=2"]


@case(FOLDER, "a config.yaml that runs code", 3, "config.yaml", "not readable as YAML", "python")
def _(scene: Scene) -> list[str]:
    return _fit(scene, f"data: !!python/object/apply:os.mkdir [{scene.root / 'ran'}]")


@case(FOLDER, "a config.yaml with a misspelt key", 3, "config.yaml", "'data.projct'",
      "closest: data.project")  # fmt: skip
def _(scene: Scene) -> list[str]:
    return _fit(scene, data={"projct": "x"})


@case(FOLDER, "a config.yaml that sends the environment away", 3, "config.yaml", "${...}")
def _(scene: Scene) -> list[str]:
    return _fit(scene, data={"project": "https://example.org/${oc.env:HOME}"})


@case(FOLDER, "a checkpoint that runs code", 3, "checkpoint.pt", "damaged checkpoint", "delete it")
def _(scene: Scene) -> list[str]:
    path = scene.root / "out/work/detector0/checkpoint.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(RunsCode(scene.root / "ran"), protocol=2))
    return ["train", str(scene.project), "--out", str(scene.out), *FAST]


@case(FOLDER, "a project whose picks folder leads out", 3, "a link leads out of the project")
def _(scene: Scene) -> list[str]:
    overlay = scene.project / "overlay/ExperimentRuns/TS_1"
    (scene.root / "elsewhere").mkdir()
    for path in sorted(overlay.glob("Picks/*")):
        path.rename(scene.root / "elsewhere" / path.name)
    (overlay / "Picks").rmdir()
    (overlay / "Picks").symlink_to(scene.root / "elsewhere")
    return predict(scene, scene.project, more=("--copick", "--one-stage"))

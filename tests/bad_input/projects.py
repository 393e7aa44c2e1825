"""Bad copick projects: configs, picks files, and data that can't be learnt from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from cryo_pick.formats.ome_zarr import write_ome_zarr
from tests.bad_input.case import case
from tests.bad_input.scene import FAST, Scene, edit_json, train, volume

CONFIG, PICKS, DATA = "copick configs", "copick picks", "Data that can't be learnt from"


def _config(scene: Scene, **fields: Any) -> list[str]:
    edit_json(scene.config, **fields)
    return train(scene)


def _object(scene: Scene, **fields: Any) -> list[str]:
    """Train with fields of the config's first object changed; ... removes one."""
    objects = json.loads(scene.config.read_text())["pickable_objects"]
    first = {k: v for k, v in (objects[0] | fields).items() if v is not ...}
    return _config(scene, pickable_objects=[first, *objects[1:]])


@case(CONFIG, "a project that is not there", 3, "nowhere", "no such copick config or project")
def _(scene: Scene) -> list[str]:
    return ["train", str(scene.root / "nowhere"), "--out", str(scene.out), *FAST]


@case(CONFIG, "a config that is no JSON", 3, "copick_config.json", "not valid JSON")
def _(scene: Scene) -> list[str]:
    scene.config.write_text('{"name": "tiny", "pickable_objects": [')
    return train(scene)


@case(CONFIG, "a config that is a list", 3, "copick_config.json", "`pickable_objects`")
def _(scene: Scene) -> list[str]:
    scene.config.write_text("[1, 2]")
    return train(scene)


@case(CONFIG, "a config that is a device", 3, "copick_config.json", "no regular file")
def _(scene: Scene) -> list[str]:
    scene.config.unlink()
    scene.config.symlink_to("/dev/zero")
    return ["train", str(scene.config), "--out", str(scene.out), *FAST]


@case(CONFIG, "a project of the data portal", 3, "`config_type` is 'cryoet_data_portal'",
      "filesystem", "download")  # fmt: skip
def _(scene: Scene) -> list[str]:
    return _config(scene, config_type="cryoet_data_portal")


@case(CONFIG, "objects that are no list", 3, "copick_config.json", "`pickable_objects`", "a list")
def _(scene: Scene) -> list[str]:
    return _config(scene, pickable_objects={"ribosome": 150})


@case(CONFIG, "no particle among the objects", 3, "copick_config.json", "`is_particle` true")
def _(scene: Scene) -> list[str]:
    return _config(scene, pickable_objects=[{"name": "membrane", "is_particle": False}])


@case(CONFIG, "a name with an underscore", 3, "copick_config.json", "name", "'80s_ribosome'")
def _(scene: Scene) -> list[str]:
    return _object(scene, name="80s_ribosome")


@case(CONFIG, "a name that leads out", 3, "copick_config.json", "name", "'../../x'")
def _(scene: Scene) -> list[str]:
    return _object(scene, name="../../x")


@case(CONFIG, "a label in words", 3, "object ribosome", "`label` must be a whole number", "'one'")
def _(scene: Scene) -> list[str]:
    return _object(scene, label="one")


@case(CONFIG, "a label of 0", 3, "`label` of ribosome to be 1 or more, but got 0")
def _(scene: Scene) -> list[str]:
    return _object(scene, label=0)


@case(CONFIG, "one label for two objects", 3, "copick_config.json", "distinct object labels", "2")
def _(scene: Scene) -> list[str]:
    return _object(scene, label=2)


@case(CONFIG, "no radius", 3, "object ribosome", "no field `radius`", "in Å")
def _(scene: Scene) -> list[str]:
    return _object(scene, radius=...)


@case(CONFIG, "a radius below 0", 3, "`radius` of ribosome to be above 0 Å, but got -150")
def _(scene: Scene) -> list[str]:
    return _object(scene, radius=-150)


@case(CONFIG, "a radius with a unit", 3, "object ribosome", "`radius` must be a number", "'15 nm'")
def _(scene: Scene) -> list[str]:
    return _object(scene, radius="15 nm")


@case(CONFIG, "a weight below 0", 3, "`weight` of ribosome to be 0 or more, but got -1")
def _(scene: Scene) -> list[str]:
    return _object(scene, metadata={"score_weight": -1})


@case(CONFIG, "a colour of two numbers", 3, "object ribosome", "`color`", "0 to 255", "[1, 2]")
def _(scene: Scene) -> list[str]:
    return _object(scene, color=[1, 2])


@case(CONFIG, "no roots", 3, "copick_config.json", "`overlay_root`", "`static_root`")
def _(scene: Scene) -> list[str]:
    return _config(scene, overlay_root=..., static_root=...)


@case(CONFIG, "roots that are not there", 3, "copick_config.json", "not there", "elsewhere")
def _(scene: Scene) -> list[str]:
    root = f"local://{scene.root}/elsewhere"
    return _config(scene, overlay_root=root, static_root=root)


@case(CONFIG, "a root in a store that runs what it reads", 3, "reference://", "protocols", "s3")
def _(scene: Scene) -> list[str]:
    return _config(scene, static_root="reference://evil")


@case(CONFIG, "options of a root that are no object", 3, "`static_fs_args` must be an object")
def _(scene: Scene) -> list[str]:
    return _config(scene, static_fs_args="anon")


@case(CONFIG, "two configs in one folder", 3, "more than one copick config", "a.json", "b.json")
def _(scene: Scene) -> list[str]:
    for name in ("a.json", "b.json"):
        shutil.copy(scene.config, scene.project / name)
    scene.config.unlink()
    return train(scene)


def _point(scene: Scene, **fields: Any) -> list[str]:
    """Train with the first point of a picks file changed; ... removes a field."""
    points = json.loads(scene.picks().read_text())["points"]
    points[0] = {k: v for k, v in (points[0] | fields).items() if v is not ...}
    edit_json(scene.picks(), points=points)
    return train(scene)


@case(PICKS, "a file cut short", 3, "TS_1/Picks/curation_0_ribosome.json", "not valid JSON")
def _(scene: Scene) -> list[str]:
    scene.picks().write_text(scene.picks().read_text()[:100])
    return train(scene)


@case(PICKS, "a list instead of an object", 3, "curation_0_ribosome.json", "JSON object", "points")
def _(scene: Scene) -> list[str]:
    scene.picks().write_text("[]")
    return train(scene)


@case(PICKS, "points that are no list", 3, "curation_0_ribosome.json", "`points` must be a list")
def _(scene: Scene) -> list[str]:
    edit_json(scene.picks(), points="none")
    return train(scene)


@case(PICKS, "a point without place", 3, "curation_0_ribosome.json", "point 0", "`location`")
def _(scene: Scene) -> list[str]:
    return _point(scene, location=...)


@case(PICKS, "a place without z", 3, "curation_0_ribosome.json", "point 0", "`location.z`")
def _(scene: Scene) -> list[str]:
    return _point(scene, location={"x": 1, "y": 2})


@case(PICKS, "a place in words", 3, "point 0", "`location.x` must be a number", "'left'")
def _(scene: Scene) -> list[str]:
    return _point(scene, location={"x": "left", "y": 2, "z": 3})


@case(PICKS, "a place that is not finite", 3, "point 0", "`location.y`", "finite number", "inf")
def _(scene: Scene) -> list[str]:
    return _point(scene, location={"x": 1.0, "y": float("inf"), "z": 3.0})


@case(PICKS, "a unit other than Å", 3, "curation_0_ribosome.json", "`unit`", "'angstrom'", "'nm'")
def _(scene: Scene) -> list[str]:
    edit_json(scene.picks(), unit="nm")
    return train(scene)


@case(PICKS, "an object that the config lacks", 3, "'ribosom'", "closest: ribosome")
def _(scene: Scene) -> list[str]:
    scene.picks().rename(scene.picks("ribosom"))
    return train(scene)


@case(DATA, "no runs", 3, "copick_config.json", "no run with the tomogram asked for")
def _(scene: Scene) -> list[str]:
    shutil.rmtree(scene.project / "static/ExperimentRuns")
    (scene.project / "static/ExperimentRuns").mkdir()
    return train(scene)


@case(DATA, "picks far outside the volume", 3, "TS_1", "outside the tomogram", "unit and origin")
def _(scene: Scene) -> list[str]:
    for name in ("ribosome", "apo-ferritin"):
        path = scene.picks(name)
        points = json.loads(path.read_text())["points"]
        for point in points:
            point["location"]["x"] += 1e5
        edit_json(path, points=points)
    return train(scene)


@case(DATA, "no picks at all", 3, "copick_config.json", "no picks in any run", "data.user_id")
def _(scene: Scene) -> list[str]:
    for path in scene.project.glob("overlay/ExperimentRuns/*/Picks/*.json"):
        path.unlink()
    return train(scene)


@case(DATA, "a class without picks in one fold", 3, "fold", "no ribosome", "TS_1", "train.folds")
def _(scene: Scene) -> list[str]:
    scene.picks().unlink()
    return train(scene)


@case(DATA, "a folder that names another voxel spacing", 3, "TS_1", "20.0", "40.000 Å")
def _(scene: Scene) -> list[str]:
    folder = scene.image.parent
    folder.rename(folder.with_name("VoxelSpacing40.000"))
    return train(scene)


@case(DATA, "runs of different voxel spacings", 3, "TS_2", "voxel spacing", "data.exclude_runs")
def _(scene: Scene) -> list[str]:
    folder: Path = scene.project / "static/ExperimentRuns/TS_2"
    shutil.rmtree(folder)
    write_ome_zarr(folder / "VoxelSpacing24.000/wbp.zarr", volume(), 24.0)
    return train(scene)


@case(DATA, "a run with two tomograms", 2, "TS_1", "several tomograms", "data.tomo_type=NAME")
def _(scene: Scene) -> list[str]:
    shutil.copytree(scene.image, scene.image.with_name("denoised.zarr"))
    return train(scene)

"""Bad command lines and settings."""

from __future__ import annotations

import numpy as np

from cryo_pick.objects import CZII_TYPES
from tests.bad_input.case import case
from tests.bad_input.scene import RunsCode, Scene, predict, train

LINE, SETTINGS, SIMULATE = "Command lines", "Settings", "Simulations"


@case(LINE, "a command that is none", 2, "no command 'pradict'", "closest: predict")
def _(scene: Scene) -> list[str]:
    return ["pradict", str(scene.root)]


@case(LINE, "a flag that is none", 2, "no flag '--modle'", "closest: --model")
def _(scene: Scene) -> list[str]:
    return predict(scene, scene.root, more=("--modle=x",))


@case(LINE, "no input", 2, "required: INPUT", "predict --help")
def _(scene: Scene) -> list[str]:
    return ["predict", "--model", "bundle", "--out", str(scene.out)]


@case(LINE, "no --model", 2, "required: --model", "predict --help")
def _(scene: Scene) -> list[str]:
    return ["predict", str(scene.root), "--out", str(scene.out)]


@case(LINE, "no --out", 2, "--out: expected a folder", ".csv or .star")
def _(scene: Scene) -> list[str]:
    return ["predict", str(scene.root), "--model", "bundle"]


@case(LINE, "one argument too many", 2, "'more' is one argument too many", "train --help")
def _(scene: Scene) -> list[str]:
    return ["train", str(scene.root), "more", "--out", str(scene.out)]


@case(LINE, "one stage and two", 2, "--one-stage", "not allowed with", "--two-stage")
def _(scene: Scene) -> list[str]:
    return predict(scene, scene.root, more=("--two-stage", "--one-stage"))


@case(LINE, "a setting for a command that has none", 2, "'seed=1'", "takes no key=value settings")
def _(scene: Scene) -> list[str]:
    return ["threshold", str(scene.root), "--out", "picks.csv", "seed=1"]


@case(LINE, "an output file of another kind", 2, "--out", "picks.txt", ".csv")
def _(scene: Scene) -> list[str]:
    return ["threshold", str(scene.predicted), "--out", str(scene.root / "picks.txt")]


@case(LINE, "a file where the output folder should be", 2, "--out", "a file is in the way")
def _(scene: Scene) -> list[str]:
    scene.text("taken", "")
    words = predict(scene, scene.project)
    return [w if w != str(scene.out) else str(scene.root / "taken") for w in words]


@case(LINE, "a folder where the output file should be", 2, "picks.csv", "a folder is in the way")
def _(scene: Scene) -> list[str]:
    (scene.root / "picks.csv").mkdir()
    words = predict(scene, scene.project)
    return [w if w != str(scene.out) else str(scene.root / "picks.csv") for w in words]


@case(LINE, "a sweep without output folder", 2, "-m", "expected out=DIR")
def _(scene: Scene) -> list[str]:
    return ["train", str(scene.project), "-m", "seed=1,2"]


@case(LINE, "a run that is not there", 3, "data.runs", "no run 'TS_7'", "closest: TS_")
def _(scene: Scene) -> list[str]:
    return predict(scene, scene.project, more=("data.runs=[TS_7]",))


@case(SETTINGS, "a misspelt key", 2, "'train.optimizer.stepss'", "closest: train.optimizer.steps")
def _(scene: Scene) -> list[str]:
    return train(scene, "train.optimizer.stepss=3")


@case(SETTINGS, "a word for a number", 2, "train.optimizer.steps", "a whole number", "'abc'")
def _(scene: Scene) -> list[str]:
    return train(scene, "train.optimizer.steps=abc")


@case(SETTINGS, "two bad settings at once", 2, "2 problems", "candidates.threshold", "train.folds")
def _(scene: Scene) -> list[str]:
    return train(scene, "candidates.threshold=2", "train.folds=1")


@case(
    SETTINGS, "an option that is none", 2, "no option 'adamw' of augment", "known: affine, default"
)
def _(scene: Scene) -> list[str]:
    return train(scene, "augment=adamw")


@case(SETTINGS, "several values without -m", 2, "seed=1,2", "several values; add -m")
def _(scene: Scene) -> list[str]:
    return train(scene, "seed=1,2")


@case(SETTINGS, "a value that can't be read", 2, "data.runs=[TS_1", "can't be read", "quotes")
def _(scene: Scene) -> list[str]:
    return train(scene, "data.runs=[TS_1")


@case(SETTINGS, "an amount of memory in words", 2, "infer.memory", "such as 4GB", "'plenty'")
def _(scene: Scene) -> list[str]:
    return train(scene, "infer.memory=plenty")


@case(SETTINGS, "an amount of memory beyond all machines", 2, "infer.memory", "such as 4GB")
def _(scene: Scene) -> list[str]:
    return train(scene, f"infer.memory={'9' * 400}GB")


@case(SETTINGS, "a crop the network can't halve", 2, "train.crop", "multiples of 8", "[40, 40, 20]")
def _(scene: Scene) -> list[str]:
    return train(scene, "train.crop=[40,40,20]")


@case(SETTINGS, "a fold that there isn't", 2, "train.fold", "0 to 1", "got 5")
def _(scene: Scene) -> list[str]:
    return train(scene, "fold=5")


@case(SETTINGS, "more folds than runs", 3, "2 runs", "40 folds", "train.folds=2")
def _(scene: Scene) -> list[str]:
    return train(scene, "train.folds=40")


@case(SETTINGS, "two origins", 2, "data.origin", "data.origin_voxels", "got both")
def _(scene: Scene) -> list[str]:
    return train(scene, "data.origin=[0,0,0]", "data.origin_voxels=-0.5")


@case(SETTINGS, "a network that is not ours", 2, "no part 'os'", "known: flexunet")
def _(scene: Scene) -> list[str]:
    return train(scene, "model.network=os", "--dry-run")


@case(SETTINGS, "a Hydra `_target_`", 2, "'model._target_'", "no key")
def _(scene: Scene) -> list[str]:
    return train(scene, "+model._target_=os.system")


@case(SETTINGS, "a Hydra `_target_` among free settings", 2, "model.params._target_", "no such")
def _(scene: Scene) -> list[str]:
    return train(scene, "model.params._target_=os.system", "--dry-run")


@case(SETTINGS, "a setting of Hydra itself", 2, "'hydra.run.dir'", "no key")
def _(scene: Scene) -> list[str]:
    return train(scene, "hydra.run.dir=elsewhere")


@case(SETTINGS, "brackets without end", 2, "data.runs", "can't be read")
def _(scene: Scene) -> list[str]:
    return train(scene, "data.runs=" + "[" * 3000)


def _simulate(scene: Scene, *words: str) -> list[str]:
    size = () if "--size" in words else ("--size", "16", "24", "24")
    return ["simulate", str(scene.out), *size, *words]


@case(SIMULATE, "no runs", 2, "`n_runs` to be 1 or more, but got 0")
def _(scene: Scene) -> list[str]:
    return _simulate(scene, "--runs", "0")


@case(SIMULATE, "a size in words", 2, "--size", "invalid int value: 'big'")
def _(scene: Scene) -> list[str]:
    return _simulate(scene, "--size", "big", "24", "24")


@case(SIMULATE, "too small a size", 2, "--size", "16 voxels or more each", "got 4 24 24")
def _(scene: Scene) -> list[str]:
    return _simulate(scene, "--size", "4", "24", "24")


@case(SIMULATE, "noise that is no number", 2, "`noise` to be 0.0 or more, but got nan")
def _(scene: Scene) -> list[str]:
    return _simulate(scene, "--noise", "nan")


@case(SIMULATE, "a voxel spacing below 0", 2, "`voxel_spacing` to be 0.5 or more, but got -5.0")
def _(scene: Scene) -> list[str]:
    return _simulate(scene, "--voxel-spacing", "-5")


@case(SIMULATE, "densities that are not there", 3, "nowhere", "no such folder of densities")
def _(scene: Scene) -> list[str]:
    return _simulate(scene, "--densities", str(scene.root / "nowhere"))


@case(SIMULATE, "densities that run code", 3, "apo-ferritin.npz", "array of numbers", "object")
def _(scene: Scene) -> list[str]:

    folder = scene.root / "maps"
    folder.mkdir()
    payload = np.array([RunsCode(scene.root / "ran")], object)
    for name in CZII_TYPES.names:
        np.savez(folder / f"{name}.npz", density=payload)
    return _simulate(scene, "--densities", str(folder))


@case(SIMULATE, "a folder that holds something else", 2, "out", "is not empty", "another folder")
def _(scene: Scene) -> list[str]:
    scene.text("out/thesis.tex", "")
    return _simulate(scene)

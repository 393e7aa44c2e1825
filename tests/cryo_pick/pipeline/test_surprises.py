"""Nothing found is explained, and a number that the training data would not expect is said."""

import numpy as np
import pytest

from cryo_pick.candidates import Candidates
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.pipeline.bundle import StageFit
from cryo_pick.pipeline.surprises import DENSITY, cubic_micrometres, densities, surprises
from cryo_pick.tomogram import Tomogram
from metrics.thresholds import ThresholdChoice
from refiner.blend import Blend

TYPES = ParticleTypes((ParticleType("shell", 1, 60.0), ParticleType("blob", 2, 80.0)))
TOMOGRAM = Tomogram(np.broadcast_to(np.float32(0), (100, 200, 250)), (10.0, 10.0, 20.0))


def fit(*cuts: float) -> StageFit:
    chosen = tuple(ThresholdChoice(c, 0.5, c, c) for c in cuts)
    return StageFit(Blend(np.ones(2), np.zeros(2), np.zeros(2)), chosen, ((0, 1),) * 2, ({},) * 2,
                    {})  # fmt: skip


def said(picks, cuts=(0.5, 0.5), scores=((0.1, 0.2),), evidence=None):
    places = Candidates(np.zeros((len(scores), 3)), np.reshape(scores, (-1, 2)))
    return surprises(places, picks, TOMOGRAM, TYPES, fit(*cuts), evidence or {})


def test_the_volume_is_in_cubic_micrometres():
    """0.1 x 0.2 x 0.5 micrometres."""
    assert cubic_micrometres(TOMOGRAM) == pytest.approx(0.01)


def test_scores_just_below_the_threshold_are_named_with_the_way_to_cut_again():
    (text,) = said(Picks.empty(), scores=((0.1, 0.45), (0.2, 0.3)))
    assert "blob 0.450 of 0.500, shell 0.200 of 0.500" in text
    assert "cryo-pick threshold" in text


def test_scores_far_below_are_a_matter_of_the_tomogram():
    (text,) = said(Picks.empty(), scores=((0.1, 0.2),))
    assert "inverted contrast" in text
    assert "blob 0.200 of 0.500" in text


def test_no_candidates_at_all():
    (text,) = said(Picks.empty(), scores=())
    assert "no candidate at all" in text
    assert "contrast" in text


def test_a_bundle_that_keeps_nothing():
    (text,) = said(Picks.empty(), cuts=(np.inf, np.inf))
    assert "keep nothing of any class" in text


def test_a_class_that_is_expected_and_missing_is_named():
    picks = Picks(np.zeros((3, 3)), [0, 0, 0])
    evidence = {"shell": {DENSITY: 300.0}, "blob": {DENSITY: 2000.0}}
    (text,) = said(picks, evidence=evidence)
    assert "no picks of blob (20 expected)" in text
    assert "shell" not in text


def test_many_more_than_expected_are_said_and_as_many_are_not():
    evidence = {"shell": {DENSITY: 500.0}, "blob": {DENSITY: 0.0}}
    assert said(Picks(np.zeros((50, 3)), [0] * 50), evidence=evidence) == []
    (text,) = said(Picks(np.zeros((51, 3)), [0] * 51), evidence=evidence)
    assert "shell (51, 5 expected)" in text
    assert said(Picks(np.zeros((500, 3)), [0] * 500)) == []  # nothing is known


def test_densities_are_over_all_runs():
    picks = {"a": Picks(np.zeros((3, 3)), [0, 0, 1]), "b": Picks.empty()}
    found = densities(picks, {"a": TOMOGRAM, "b": TOMOGRAM}, TYPES)
    assert found == {"shell": pytest.approx(100.0), "blob": pytest.approx(50.0)}


def test_the_command_explains_that_nothing_was_found(project, bundle, tmp_path, capsys):
    """A bundle whose thresholds nothing reaches: the log and the kept candidates say why."""
    import json
    import shutil

    from cryo_pick.cli import main
    from cryo_pick.formats.candidates_npz import read_candidates

    shut = tmp_path / "bundle"
    shutil.copytree(bundle, shut)
    values = json.loads((shut / "bundle.json").read_text())
    assert all(e[DENSITY] >= 0 for e in values["evidence"].values())
    for fit in values["fits"].values():
        for choice in fit["thresholds"]:
            choice |= {"threshold": 1.0, "plateau_low": 1.0, "plateau_high": 1.0}
    (shut / "bundle.json").write_text(json.dumps(values))
    words = ["predict", str(project), "--model", str(shut), "--out", str(tmp_path / "out")]
    assert main([*words, "infer.engine=torch", "data.runs=[SIM-0000]"]) == 0
    kept = read_candidates(tmp_path / "out/runs/SIM-0000/candidates.npz")
    assert any("nothing was picked" in w for w in kept.metadata["warnings"])
    assert "nothing was picked" in " ".join(capsys.readouterr().err.split())

"""Annotations lie where the picks are, in Neuroglancer's voxels, and carry their scores."""

import numpy as np
import pytest

from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from cryo_pick.tomogram import Tomogram
from cryo_pick.view.layers import MAX_SHOWN, contrast, dimensions, pick_layer, truth_layer
from cryo_pick.view.viewer import Scene, annotation_layers

KIND = ParticleType("shell", 1, 60.0, 1.0, (51, 102, 255, 255))
TOMOGRAM = Tomogram(np.zeros((8, 9, 10), np.float32), (10.0, 10.0, 12.0), (5.0, 0.0, -6.0))


def test_a_voxels_centre_is_half_a_voxel_from_its_corner():
    """The pick on voxel z y x = 1 2 3 is at its centre: x y z = 3.5 2.5 1.5."""
    position = np.array([[15.0, 20.0, 30.0]])
    layer = pick_layer(position, np.array([0.7]), KIND, TOMOGRAM, 0.25)
    (ball,) = layer["annotations"]
    assert ball["center"] == [3.5, 2.5, 1.5]
    assert ball["radii"] == pytest.approx([2.5, 3.0, 3.0])
    assert ball["props"] == [0.7]
    assert layer["source"]["transform"]["outputDimensions"] == {
        "x": [1.2, "nm"], "y": [1.0, "nm"], "z": [1.0, "nm"],
    }  # fmt: skip


@pytest.mark.parametrize(("threshold", "start"), [(0.25, "0.250"), (np.inf, "1.000"), (0, "0.000")])
def test_the_slider_starts_at_the_threshold_and_the_class_has_its_colour(threshold, start):
    layer = pick_layer(np.zeros((1, 3)), np.ones(1), KIND, TOMOGRAM, threshold)
    assert f"default={start})" in layer["shader"]
    assert "vec4(0.200, 0.400, 1.000" in layer["shader"]
    assert "prop_score() < score" in layer["shader"]


def test_the_best_are_shown():
    scores = np.random.default_rng(0).permutation(np.linspace(0, 1, MAX_SHOWN + 50))
    layer = pick_layer(np.zeros((len(scores), 3)), scores, KIND, TOMOGRAM, 0.5)
    shown = [a["props"][0] for a in layer["annotations"]]
    assert len(shown) == MAX_SHOWN
    assert min(shown) >= np.sort(scores)[49]


def test_a_layer_for_each_class_that_has_any():
    types = ParticleTypes((KIND, ParticleType("blob", 2, 80.0), ParticleType("rod", 3, 80.0)))
    picks = Picks(np.zeros((3, 3)), [0, 0, 2], [0.1, 0.9, 0.5])
    truth = Picks(np.zeros((1, 3)), [1])
    scene = Scene(TOMOGRAM, types, picks, np.full(3, 0.5), truth)
    assert [x["name"] for x in annotation_layers(scene)] == ["shell", "rod", "truth blob"]


def test_contrast_shows_particles_dark():
    volume = np.linspace(-1, 3, 20**3).reshape(20, 20, 20)
    dark, bright = contrast(volume), contrast(volume, -1.0)
    assert dark["range"] == bright["range"][::-1]
    assert dark["range"][0] < dark["range"][1]
    constant = contrast(np.zeros((4, 4, 4)))
    assert constant["range"][0] < constant["range"][1]


def test_dimensions_are_x_y_z_in_nm():
    assert list(dimensions((30.0, 20.0, 10.0)).items()) == [
        ("x", [1.0, "nm"]), ("y", [2.0, "nm"]), ("z", [3.0, "nm"]),
    ]  # fmt: skip


def test_a_true_particle_is_a_box_of_its_width():
    (box,) = truth_layer(np.array([[15.0, 20.0, 30.0]]), KIND, TOMOGRAM)["annotations"]
    assert box["pointA"] == pytest.approx([3.5 - 5, 2.5 - 6, 1.5 - 6])
    assert box["pointB"] == pytest.approx([3.5 + 5, 2.5 + 6, 1.5 + 6])

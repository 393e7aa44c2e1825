"""A run whose particles are single bright voxels, with candidates on and between them."""

import numpy as np

from cryo_pick.coordinates import index_to_angstrom
from cryo_pick.objects import ParticleType, ParticleTypes
from cryo_pick.picks import Picks
from refiner.sampling import RefinerRun

STRIDE = 2
SPACING = (10.0, 10.0, 10.0)
ORIGIN = (-30.0, 12.0, 7.0)
TYPES = ParticleTypes((ParticleType("a", 1, 40.0), ParticleType("b", 2, 60.0)))
RADII = TYPES.radii


def scene():
    """Six particles, far apart; the value of a voxel is its class + 1, some stand at the border."""
    index = np.array([[6, 6, 7], [6, 24, 9], [22, 7, 25], [24, 25, 24], [1, 15, 37], [30, 38, 2]])
    classes = np.array([0, 0, 0, 0, 0, 1])
    volume = np.zeros((32, 40, 40), np.float32)
    volume[tuple(index.T)] = classes + 1
    blocks = volume.reshape(16, 2, 20, 2, 20, 2)
    heatmap = np.stack([(blocks == c + 1).any((1, 3, 5)) for c in (0, 1)]).astype(np.float16)
    truth = Picks(index_to_angstrom(index, SPACING, ORIGIN), classes)
    near = truth.positions + np.random.default_rng(0).uniform(-8, 8, truth.positions.shape)
    nothing = index_to_angstrom([[16, 16, 16], [15, 35, 20], [8, 35, 35]], SPACING, ORIGIN)
    stage1 = np.zeros((9, 2), np.float32)
    stage1[np.arange(6), classes] = 0.9
    stage1[6:] = 0.2
    places = np.concatenate([near, nothing])
    return RefinerRun(volume, heatmap, STRIDE, places, stage1, truth, SPACING, ORIGIN, "run")

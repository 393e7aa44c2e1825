"""The presets, narrowed until a test can train them: the same code with fewer channels."""

from __future__ import annotations

import copy

from cryo_pick.config import Config, compose

NARROW = {
    "shuffle_unet": {"channels": [8, 16], "blocks": [1, 1]},
    "unet_half": {"stem": 8, "channels": [8, 16, 16], "strides": [2, 2]},
    "unet25d_resnet34": {
        "backbone_params": {"layers": [1, 1, 1, 1], "channels": [8, 16, 16, 16]},
        "widths": [16, 16, 16, 16, 8],
    },
    "convnext_nano_25d": {
        "backbone_params": {"depths": [1, 1, 1, 1], "dims": [16, 24, 24, 24]},
        "widths": [32, 32, 32],
    },
    "resnetrs50_25d": {
        "backbone_params": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]},
        "widths": [16, 16, 16, 16],
    },
    "flexunet_resnet34": {"backbone": "resnet10", "width": 8, "channels": [16, 16, 16, 16, 8]},
    "unet_tiny": {"channels": [8, 16, 16, 16]},
    "unet_resnet101": {"backbone": "resnet10", "width": 8, "channels": [16, 16, 16, 16, 8]},
    "points_segresnet": {"filters": 8, "blocks_down": [1, 1, 1], "dropout": 0.0, "head": [8, 8]},
    "points_dynunet": {"filters": [8, 16, 16], "features": 8, "head": [8, 8]},
    "slices": {"channels": [8, 16, 16], "strides": [2, 2], "residual_units": 1},
}
"""Settings of the network that replace the preset's, by preset."""

CROP = {"convnext_nano_25d": [16, 32, 64]}
"""Training crops other than 32x32x64, by preset."""


def preset(name: str) -> Config:
    """The config of a preset, as it is."""
    return compose([f"model={name}"])


def narrowed(config: Config, name: str) -> Config:
    """A copy with a narrow network and a small crop, for a quick training without variation."""
    small = copy.deepcopy(config)
    small.model.params |= NARROW[name]
    small.train.crop = CROP.get(name, [32, 32, 64])
    return small

"""Settings of stage 2. The class is the schema of the config group `refiner`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cryo_pick.settings import OptimizerSettings


@dataclass
class RefinerSettings:
    """Patches, network and training of the refiner."""

    network: str = "patch_net"
    """A module of refiner/networks."""
    params: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of its `build`."""
    patch: int = 24
    """Edge of the cube around a candidate, in voxels; even."""
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    """How long and how fast."""
    jitter: float = 25.0
    """Å; training patches are shifted by up to this along each axis."""
    truth_share: float = 0.25
    """Share of training patches around jittered true positions instead of candidates."""
    review_share: float = 0.2
    """Share of training patches at places that a person judged (`data.review_user`)."""
    reach: float = 0.6
    """A candidate within this many radii of a particle is labelled as that particle."""
    mixup: float = 0.0
    """Parameter of the Beta distribution that mixes pairs of patches; 0: none."""
    loss: str = "cross_entropy"
    """cross_entropy, focal, balanced (rare classes weigh more) or fbeta (with a soft F4)."""
    label_smoothing: float = 0.0
    """Of the cross-entropy."""
    offset_weight: float = 0.5
    """Weight of the offset loss."""
    start_from: str | None = None
    """A bundle, or a refiner's folder or file, whose weights it begins with."""
    views: int = 4
    """Test-time views of a patch that are averaged: 1, 2, 4 or 8 flips."""
    batch_size: int = 64
    """Patches of one forward pass at inference."""

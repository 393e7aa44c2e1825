"""Where the parts of a detector are found by name; nothing that training alone needs."""

from __future__ import annotations

from cryo_pick.parts import find_part

NETWORKS, LOSSES = "detector.networks", "detector.losses"


def output_stride(network: str) -> int:
    """Voxels per heatmap cell of a network, by the name of its part.

    Raises
    ------
    ConfigError
        If there is no such network.
    """
    return int(find_part(NETWORKS, network, "model.network").OUTPUT_STRIDE)

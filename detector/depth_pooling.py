"""A 2D timm backbone that sees a volume: slices run as one 2D batch, depth shrinks between stages.

timm's ``FeatureListNet``, which ``features_only=True`` returns, calls the parts of a backbone one
by one and collects the outputs of its stages. Here the depth of each stage's output is pooled
before the next stage runs, so later stages see fewer slices and each of them more depth. Nothing
depends on the backbone's family. Source of the idea: the 4th place of the CZII challenge (tattaka).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models._features import FeatureListNet
from torch import Tensor, nn

from cryo_pick.closest import closest_hint
from cryo_pick.errors import ConfigError

Reduction = tuple[int, int, int]

_TIMEOUT_S = 3.0
"""How long to wait for the server of pretrained weights."""


def neighbour_channels(volume: Tensor, context: int) -> Tensor:
    """Each slice with its neighbours as channels; zeros beyond the first and the last slice.

    Parameters
    ----------
    volume : (b, 1, d, h, w) tensor
    context
        Odd; 5 gives two neighbours on either side.

    Returns
    -------
    (b, context, d, h, w) tensor
    """
    if context == 1:
        return volume
    depth, reach = volume.shape[2], context // 2
    padded = nn.functional.pad(volume, (0, 0, 0, 0, reach, reach))
    return torch.cat([padded[:, :, i : i + depth] for i in range(context)], 1)


def pool_depth(slices: Tensor, depth: int, kernel: int, stride: int) -> Tensor:
    """Mean over neighbouring slices of each volume of a batch.

    With `stride` equal to `kernel` the depth shrinks by it; with stride 1 and an odd kernel the
    depth stays, and at the ends the mean is over the slices that exist.

    Parameters
    ----------
    slices : (b depth, ...) tensor
        Slices of one volume follow each other.
    depth
    kernel, stride
        Slices.

    Returns
    -------
    (b depth / stride, ...) tensor
    """
    if kernel == 1:
        return slices
    volumes = slices.unflatten(0, (-1, depth))
    if stride == kernel:
        return volumes.unflatten(1, (-1, kernel)).mean(2).flatten(0, 1)
    pad = (0, 0) * (slices.ndim - 1) + (kernel // 2, kernel // 2)
    ones = volumes.new_ones((1, depth) + (1,) * (slices.ndim - 1))
    total, count = (
        torch.stack([p[:, i : i + depth] for i in range(kernel)]).sum(0)
        for p in (nn.functional.pad(v, pad) for v in (volumes, ones))
    )
    return (total / count).flatten(0, 1)


class OverSlices(nn.Module):
    """A 2D module inside a network over volumes, which may be asked for a layout of volumes.

    ``network.to(memory_format=torch.channels_last_3d)`` fails on 2D weights; here each is laid out
    as the volume of depth 1 that it is, which is ``channels_last``.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OverSlices:
        def laid_out(tensor: Tensor) -> Tensor:
            return fn(tensor.unsqueeze(2)).squeeze(2) if tensor.ndim == 4 else fn(tensor)

        return super()._apply(laid_out, recurse)


class DepthPooledFeatures(OverSlices, FeatureListNet):
    """The stages of a timm backbone over a volume, finest first.

    Parameters
    ----------
    model
        A timm model with `feature_info`.
    context
        Slices that each slice is shown with, as channels; odd.
    strides
        Of the depth pooling after each stage; the product up to a stage is its depth reduction.
    kernels
        Of that pooling; where it is not the stride, the stride is 1 and the kernel odd.

    Attributes
    ----------
    channels : list of int
        Width of each stage, from the model's `feature_info`.
    reductions : list of (z, y, x)
        Voxels per cell of each stage.

    Raises
    ------
    ValueError
        If kernels and strides don't fit the stages or each other.
    """

    def __init__(
        self, model: nn.Module, context: int, strides: Sequence[int], kernels: Sequence[int]
    ) -> None:
        info: Any = model.feature_info
        names = [stage["module"] for stage in info]
        super().__init__(
            model,
            out_indices=tuple(range(len(names))),
            output_fmt=getattr(model, "output_fmt", "NCHW"),
            flatten_sequential=any("." in name for name in names),
        )
        _check_pooling(strides, kernels, len(names))
        self.context, self.strides, self.kernels = context, tuple(strides), tuple(kernels)
        self.channels: list[int] = self.feature_info.channels()
        self.reductions: list[Reduction] = []
        depth = 1
        for stride, plane in zip(strides, self.feature_info.reduction(), strict=True):
            depth *= stride
            self.reductions.append((depth, plane, plane))

    def forward(self, volume: Tensor) -> list[Tensor]:  # type: ignore[override]
        """(b, 1, d, h, w) to one (b, c, d / z, h / y, w / x) per stage."""
        depth = volume.shape[2]
        x = neighbour_channels(volume, self.context).transpose(1, 2).flatten(0, 1)
        features: list[Tensor] = []
        for name, module in self.items():
            x = module(x)
            if name in self.return_layers:
                stage = len(features)
                kernel, stride = self.kernels[stage], self.strides[stage]
                x = pool_depth(x, depth, kernel, stride)
                depth //= stride
                plane = x.permute(0, 3, 1, 2) if self.output_fmt == "NHWC" else x
                features.append(plane.unflatten(0, (-1, depth)).transpose(1, 2))
        return features


def _check_pooling(strides: Sequence[int], kernels: Sequence[int], n_stages: int) -> None:
    if not len(strides) == len(kernels) == n_stages:
        raise ValueError(
            f"Expected one depth stride and kernel for each of {n_stages} stages, "
            f"but got {list(strides)} and {list(kernels)}."
        )
    for stride, kernel in zip(strides, kernels, strict=True):
        if stride < 1 or (kernel != stride and (stride != 1 or kernel % 2 == 0)):
            raise ValueError(
                "Expected a depth kernel equal to its stride, or odd with stride 1, "
                f"but got kernel {kernel} and stride {stride}."
            )


def depth_pooled(
    backbone: str,
    context: int,
    strides: Sequence[int],
    kernels: Sequence[int] | None = None,
    pretrained: bool | str = False,
    backbone_params: Mapping[str, Any] | None = None,
) -> DepthPooledFeatures:
    """A timm backbone by name, ready for volumes.

    Parameters
    ----------
    backbone
        A name that timm knows, with or without the tag of its weights.
    context, strides, kernels
        See :class:`DepthPooledFeatures`; no kernels: the strides.
    pretrained
        False, True (timm's weights, from its cache or the network), or a .safetensors file.
    backbone_params
        Further arguments of the timm model, such as its widths.

    Raises
    ------
    ConfigError
        If timm has no such model, or the weights can't be had.
    ValueError
        If the context is even, or the model has no stages.
    """
    if not timm.is_model(backbone):
        hint = closest_hint(backbone, timm.list_models())
        raise ConfigError(f"model.params.backbone: timm has no {backbone!r}; {hint}")
    if context < 1 or context % 2 == 0:
        raise ValueError(f"Expected `context` to be odd and at least 1, but got {context}.")
    weights = pretrained_file(backbone, pretrained)
    model = timm.create_model(
        backbone,
        pretrained=weights is not None,
        pretrained_cfg_overlay=None if weights is None else {"file": str(weights)},
        in_chans=context,
        **(backbone_params or {}),
    )
    if not getattr(model, "feature_info", None):
        raise ValueError(f"{backbone} has no stages of falling resolution")
    return DepthPooledFeatures(model, context, strides, strides if kernels is None else kernels)


def pretrained_file(backbone: str, pretrained: bool | str) -> Path | None:
    """The file of pretrained weights; None where none are wanted.

    Raises
    ------
    ConfigError
        If the file isn't there or isn't safetensors, or the network doesn't answer.
    """
    if not pretrained:
        return None
    if isinstance(pretrained, str):
        path = Path(pretrained)
        if path.suffix != ".safetensors" or not path.is_file():
            raise ConfigError(
                f"model.params.pretrained: expected false, true or an existing .safetensors file, "
                f"but got {pretrained!r}"
            )
        return path
    from huggingface_hub import hf_hub_download

    found = timm.get_pretrained_cfg(backbone)
    if found is None or not found.hf_hub_id:
        raise ConfigError(f"model.params.pretrained: timm has no weights of {backbone}")
    try:
        # The newest revision, as timm takes it; safetensors holds numbers and no code.
        name, hub_id = "model.safetensors", found.hf_hub_id
        return Path(hf_hub_download(hub_id, name, etag_timeout=_TIMEOUT_S))  # nosec B615
    except Exception as error:  # whatever library fetches: no network is no bug
        raise ConfigError(
            f"model.params.pretrained=true: the weights of {backbone} are not in the cache and "
            f"can't be fetched ({type(error).__name__}); without a network, fetch "
            f"{found.hf_hub_id} elsewhere and give the file: "
            "model.params.pretrained=PATH.safetensors, or train from scratch with false"
        ) from error

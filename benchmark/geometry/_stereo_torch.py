"""Plane-sweep matching in torch, for CUDA: the same computation as ``_stereo_opencv``, planes in batches."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Float, Float32, Float64, Int64, UInt8

from wsss.benchmark.geometry._stereo import LEAST, NOISE, OUTSIDE, PARTS, PATHS, SHARPNESS, Match, Warp

_BATCH = 16_000_000
"""Pixels times planes that are warped at once: about 1 GB at the peak."""


def match(
    reference: UInt8[np.ndarray, "h w"],
    sources: Sequence[UInt8[np.ndarray, "_ _"]],
    warps: Sequence[Warp],
    planes: Float[np.ndarray, " d"],
    window: int,
    device: str,
) -> Match:
    """The inverse depth of every pixel whose plane the sources agree on best. See ``_stereo.Match``."""
    with torch.inference_mode():
        here = _image(reference, device)
        there = [_image(source, device) for source in sources]
        values = torch.as_tensor(planes, dtype=torch.float64, device=device)
        volume = torch.cat(
            [
                _scores(here, there, warps, some[:, None], window)
                for some in values.split(max(1, _BATCH // reference.size))
            ]
        )
        return _winner(volume, here[0, 0], values)


def refine(
    reference: UInt8[np.ndarray, "h w"],
    sources: Sequence[UInt8[np.ndarray, "_ _"]],
    warps: Sequence[Warp],
    surface: Float32[np.ndarray, "h w"],
    step: float,
    window: int,
    device: str,
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Inverse depth near a surface, and its correlation; see ``_stereo_opencv.refine``."""
    with torch.inference_mode():
        here = _image(reference, device)
        there = [_image(source, device) for source in sources]
        base = torch.as_tensor(surface, device=device).double()
        parts = torch.tensor(PARTS, dtype=torch.float64, device=device)[:, None, None]
        volume = _scores(here, there, warps, (base + parts * step).clamp(min=LEAST * step).flatten(1), window)
        index = volume.argmax(0)
        offset = _between(_around(volume, index), index, len(PARTS))
        inverse = base + (parts[index, 0, 0] + offset * (PARTS[1] - PARTS[0])) * step
        return inverse.clamp(min=LEAST * step).float().cpu().numpy(), volume.amax(0).cpu().numpy()


def _image(image: UInt8[np.ndarray, "h w"], device: str) -> Float32[torch.Tensor, "1 1 h w"]:
    return torch.as_tensor(image, device=device).float()[None, None]


def _scores(
    reference: Float32[torch.Tensor, "1 1 h w"],
    sources: Sequence[Float32[torch.Tensor, "1 1 h w"]],
    warps: Sequence[Warp],
    inverse_depth: Float64[torch.Tensor, "d _"],
    window: int,
) -> Float32[torch.Tensor, "d h w"]:
    """Mean correlation of the best two sources on each plane, or on surfaces with an inverse depth per pixel."""
    area = window**2
    total, squares = _sums(torch.cat([reference, reference**2], 1), window).split(1, 1)
    spread = _spread(total, squares, area)
    fill = (total / area).round().clamp(1, 255)
    best: list[torch.Tensor] = []
    for source, warp in zip(sources, warps, strict=True):
        warped = _warp(source, warp, reference.shape[-2:], inverse_depth)
        outside = warped == 0
        warped = torch.where(outside, fill, warped)
        sums = _sums(torch.cat([warped, warped**2, warped * reference], 1), window)
        score = (area * sums[:, 2:] - sums[:, :1] * total) / (_spread(sums[:, :1], sums[:, 1:2], area) * spread).sqrt()
        score = score.masked_fill(outside, OUTSIDE)[:, 0]
        if len(best) < 2:
            best = [score] if not best else [torch.maximum(best[0], score), torch.minimum(best[0], score)]
        else:
            best = [torch.maximum(best[0], score), torch.maximum(best[1], torch.minimum(best[0], score))]
    return best[0] if len(best) == 1 else torch.where(best[1] > OUTSIDE, (best[0] + best[1]) / 2, best[0])


def _warp(
    source: Float32[torch.Tensor, "1 1 _ _"],
    warp: Warp,
    size: Sequence[int],
    inverse_depth: Float64[torch.Tensor, "d _"],
) -> Float32[torch.Tensor, "d 1 h w"]:
    """The source as the reference would show it on each plane, in whole grey levels, 0 outside."""
    height, width = source.shape[-2:]
    device, count = source.device, len(inverse_depth)
    row, column = (torch.arange(length, device=device) for length in size)
    row, column = torch.meshgrid(row, column, indexing="ij")
    pixel = torch.stack([column, row, torch.ones_like(row)]).reshape(3, -1).double()
    far, step = (torch.as_tensor(m, device=device) @ pixel for m in (warp.at_infinity, warp.per_inverse_depth))
    place = far + step * inverse_depth[:, None]
    behind = place[:, 2:] <= 0
    place = torch.where(
        behind, -9.0, (place[:, :2] / place[:, 2:] + 0.5) * 2 / place.new_tensor([[width], [height]]) - 1
    )
    grid = place.float().mT.reshape(count, *size, 2)
    warped = functional.grid_sample(
        source.expand(count, -1, -1, -1), grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return warped.round()


def _sums(image: Float32[torch.Tensor, "n c h w"], window: int) -> Float32[torch.Tensor, "n c h w"]:
    """Sums over a square window; the edge pixels are repeated. Exact: whole numbers below 2^24."""
    reach = window // 2
    padded = functional.pad(image, (reach, reach, reach, reach), mode="replicate")
    columns = padded[..., : image.shape[-1]].clone()
    for step in range(1, window):
        columns += padded[..., step : step + image.shape[-1]]
    rows = columns[..., : image.shape[-2], :].clone()
    for step in range(1, window):
        rows += columns[..., step : step + image.shape[-2], :]
    return rows


def _spread(total: torch.Tensor, squares: torch.Tensor, area: int) -> torch.Tensor:
    """The variance times the squared area, with the noise that keeps flat windows from agreeing."""
    return (area * squares - total**2).clamp(min=0) + (area * NOISE) ** 2


def _aggregate(cost: Float32[torch.Tensor, "d h w"], grey: Float32[torch.Tensor, "h w"]) -> torch.Tensor:
    """The mean of the costs along four straight paths to each pixel; see ``_stereo_loops.aggregate``."""
    total = torch.zeros_like(cost)
    for axis in (0, 1):
        for reverse in (False, True):
            lines, levels, sums = cost.movedim(axis + 1, 0), grey.movedim(axis, 0), total.movedim(axis + 1, 0)
            places = range(len(lines))[::-1] if reverse else range(len(lines))
            last, before = torch.zeros_like(lines[0]), levels[places[0]]
            for place in places:
                last = _step(last, lines[place], (levels[place] - before).abs())
                sums[place] += last
                before = levels[place]
    return total / 4


def _step(
    last: Float32[torch.Tensor, "d n"], cost: Float32[torch.Tensor, "d n"], edge: Float32[torch.Tensor, " n"]
) -> Float32[torch.Tensor, "d n"]:
    """One pixel further along all parallel paths."""
    low, high, contrast = PATHS
    least = last.amin(0)
    best = torch.minimum(last, least + (high / (1 + edge / contrast)).clamp(min=low))
    best[1:] = torch.minimum(best[1:], last[:-1] + low)
    best[:-1] = torch.minimum(best[:-1], last[1:] + low)
    return cost + best - least


def _winner(volume: Float32[torch.Tensor, "d h w"], grey: Float32[torch.Tensor, "h w"], planes: torch.Tensor) -> Match:
    """As in ``_stereo_opencv``."""
    scores = 1 - 2 * _aggregate((1 - volume) / 2, grey)
    index = scores.argmax(0)
    offset = _between(_around(scores, index), index, len(planes))
    mass = torch.stack(_around((SHARPNESS * scores).softmax(0), index)).sum(0)
    inverse = planes[index] + offset * (planes[1] - planes[0])
    inside = (index > 0) & (index < len(planes) - 1)
    return Match(
        inverse_depth=inverse.float().cpu().numpy(),
        correlation=torch.where(inside, volume.gather(0, index[None])[0], 0.0).cpu().numpy(),
        mass=mass.cpu().numpy(),
    )


def _around(scores: Float32[torch.Tensor, "d h w"], index: Int64[torch.Tensor, "h w"]) -> tuple[torch.Tensor, ...]:
    """The best score and those before and after it; of the next inner one if it is an outer one."""
    inner = index.clamp(1, len(scores) - 2)
    return tuple(scores.gather(0, (inner + step)[None])[0] for step in (-1, 0, 1))


def _between(around: Sequence[torch.Tensor], index: Int64[torch.Tensor, "h w"], count: int) -> torch.Tensor:
    """Where the parabola through three scores has its top, in steps; 0 where it has none or the best is outermost."""
    before, best, after = around
    bend = before - 2 * best + after
    peaked = (bend < -1e-6) & (index > 0) & (index < count - 1)
    return torch.where(peaked, ((before - after) / (2 * bend)).clamp(-0.5, 0.5), 0.0)

"""The materials, and their textures in one mip-mapped atlas: one bilinear lookup serves every surface of a picture."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from wsss.benchmark.randomness import stream
from wsss.datasets.miniature.engine import patterns, textures
from wsss.datasets.miniature.engine.textures import SIZE

LEVELS = 7
_PAD = 2


@dataclass(frozen=True)
class Material:
    """A texture, the metres (width, height) that one tile covers, and how strongly the surface mirrors."""

    make: Callable[[np.random.Generator], textures.Texture]
    metres: tuple[textures.Number, textures.Number]
    gloss: float = 0.0


WHITE, BROWN, GREY = (0.88, 0.88, 0.86), (0.36, 0.27, 0.20), (0.45, 0.46, 0.47)

MATERIALS: dict[str, Material] = {
    "plain": Material(lambda r: textures.flat((1, 1, 1), 0.03 * textures.noise(r, 16, 64)), (2, 2)),
    "paint": Material(lambda r: textures.flat((1, 1, 1), 0.02 * textures.noise(r, 4, 8)), (3, 3), 0.22),
    "glass": Material(lambda r: textures.flat((0.10, 0.12, 0.13), 0.2 * textures.noise(r, 4)), (3, 3), 0.55),
    "asphalt": Material(textures.asphalt, (9, 9)),
    "marking": Material(lambda r: textures.flat((0.86, 0.86, 0.84), 0.12 * textures.noise(r, 16, 64, 128)), (3, 3)),
    "cobble": Material(lambda r: textures.blocks(r, 20, 20, (0.46, 0.44, 0.42), 0.16, 0.6), (2.4, 2.4)),
    "slabs": Material(lambda r: textures.blocks(r, 6, 6, (0.60, 0.58, 0.55), 0.07, 0.78, False), (3, 3)),
    "clay": Material(lambda r: textures.blocks(r, 24, 12, (0.60, 0.42, 0.36), 0.14, 0.78), (2.4, 2.4)),
    "curb": Material(lambda r: textures.blocks(r, 1, 4, (0.66, 0.65, 0.62), 0.06, 0.7, False), (4, 1)),
    "grass": Material(textures.grass, (6, 6)),
    "leaves": Material(textures.leaves, (4, 4)),
    "bark": Material(textures.bark, (1, 2)),
    "brick": Material(lambda r: textures.wall(r, "brick"), (4.5, 5)),
    "concrete": Material(
        lambda r: textures.flat((0.62, 0.61, 0.59), 0.08 * textures.noise(r, 64) + 0.14 * textures.noise(r, (2, 8), 4)),
        (4, 4),
    ),
    "roof": Material(lambda r: textures.blocks(r, 20, 20, (0.56, 0.34, 0.27), 0.14, 0.7), (5, 5)),
    "plaster windows": Material(lambda r: textures.windows(r, "plaster", 2, 0.42, 0.52, 0.26, WHITE, 0.0), (5.6, 6.2)),
    "framed windows": Material(lambda r: textures.windows(r, "plaster", 2, 0.38, 0.58, 0.22, WHITE, 0.022), (5.2, 6.8)),
    "wide windows": Material(lambda r: textures.windows(r, "plaster", 2, 0.62, 0.46, 0.32, GREY, 0.0), (7, 5.8)),
    "brick windows": Material(lambda r: textures.windows(r, "brick", 2, 0.42, 0.54, 0.24, WHITE, 0.012), (5.4, 6.4)),
    "brown windows": Material(lambda r: textures.windows(r, "brick", 3, 0.46, 0.48, 0.28, BROWN, 0.0), (7.5, 6)),
    "stone windows": Material(lambda r: textures.windows(r, "stone", 2, 0.40, 0.62, 0.20, BROWN, 0.02), (5, 7)),
    "office": Material(textures.office, (9.6, 13), 0.12),
    "shop": Material(textures.shop, (12, 3.8)),
    "plaster entrance": Material(lambda r: textures.entrance(r, "plaster"), (9, 3.4)),
    "brick entrance": Material(lambda r: textures.entrance(r, "brick"), (9, 3.4)),
    "planks": Material(lambda r: textures.planks(r, 14, (0.66, 0.56, 0.45), 0.14), (2.2, 2.2)),
    "sheet": Material(lambda r: textures.planks(r, 16, (0.80, 0.80, 0.80), 0.25), (3.2, 3.2)),
    "railing": Material(textures.railing, (2.4, 1.2)),
    "sign 0": Material(lambda r: textures.sign(r, 0), (1, 1)),
    "sign 1": Material(lambda r: textures.sign(r, 1), (1, 1)),
    "sign 2": Material(lambda r: textures.sign(r, 2), (1, 1)),
    "sign 3": Material(lambda r: textures.sign(r, 3), (1, 1)),
    "sign 4": Material(lambda r: textures.sign(r, 4), (1, 1)),
    "signal": Material(textures.signal, (1, 1)),
    "bus side": Material(lambda r: textures.coach(r, 0.45, 0.85, 6), (9, 2.9), 0.12),
    "tram side": Material(lambda r: textures.coach(r, 0.42, 0.80, 5), (9, 3.3), 0.12),
    "tyre": Material(textures.wheel, (1, 1)),
    "spokes": Material(textures.spokes, (1, 1)),
    "cloth": Material(
        lambda r: textures.flat((1, 1, 1), 0.16 * textures.noise(r, 8, 16) + 0.05 * textures.noise(r, 64)), (1, 1)
    ),
    "painted wall": Material(lambda r: patterns.plaster(r, 1.0), (1.6, 1.6)),
    "rough wall": Material(lambda r: patterns.plaster(r, 2.2), (1.6, 1.6)),
    "striped paper": Material(lambda r: patterns.stripes(r, 12, 0.10), (1.8, 1.8)),
    "flowered paper": Material(lambda r: patterns.flowers(r, 6, 0.22), (1.5, 1.5)),
    "damask": Material(patterns.damask, (1.4, 1.4)),
    "panels": Material(lambda r: patterns.parquet(r, 12, 1), (1.5, 3.0)),
    "ceiling tiles": Material(lambda r: patterns.tiles(r, 4, 4, 0.02, 0.82, 0.08), (2.4, 2.4)),
    "boards": Material(lambda r: patterns.parquet(r, 16, 2), (1.9, 2.4), 0.05),
    "strips": Material(lambda r: patterns.parquet(r, 32, 6), (2.2, 2.4), 0.05),
    "carpet": Material(patterns.carpet, (0.8, 0.8)),
    "floor tiles": Material(lambda r: patterns.tiles(r, 6, 6, 0.06, 0.75, 0.08), (2.0, 2.0), 0.05),
    "checkers": Material(lambda r: patterns.checkers(r, 6), (1.8, 1.8), 0.05),
    "wall tiles": Material(lambda r: patterns.tiles(r, 10, 10, 0.03, 0.85), (1.5, 1.5), 0.05),
    "long tiles": Material(lambda r: textures.blocks(r, 20, 10, patterns.GROUND, 0.05, 0.82), (1.5, 1.5), 0.05),
    "wood": Material(lambda r: patterns.wood(r, 0.16), (1.1, 1.1), 0.03),
    "smooth wood": Material(lambda r: patterns.wood(r, 0.06), (1.1, 1.1), 0.04),
    "lacquer": Material(lambda r: textures.flat((1, 1, 1), 0.025 * textures.noise(r, 4, 64)), (1.2, 1.2), 0.05),
    "granite": Material(patterns.granite, (0.7, 0.7), 0.07),
    "ceramic": Material(lambda r: textures.flat((1, 1, 1), 0.02 * textures.noise(r, 4, 8)), (1, 1), 0.12),
    "metal": Material(lambda r: textures.flat((1, 1, 1), 0.06 * textures.noise(r, (2, 128))), (1, 1), 0.16),
    "weave": Material(lambda r: patterns.weave(r, 32), (0.6, 0.6)),
    "leather": Material(patterns.leather, (1, 1), 0.06),
    "quilt": Material(lambda r: patterns.quilt(r, 8), (1.6, 1.6)),
    "flowered cloth": Material(lambda r: patterns.flowers(r, 4, 0.45), (1.0, 1.0)),
    "striped cloth": Material(lambda r: patterns.bands(r, (0.1, 0.2, 0.3, 0.34, 0.5, 0.62, 0.8, 0.84)), (0.7, 0.7)),
    "terry": Material(patterns.terry, (1.0, 1.0)),
    "spines": Material(patterns.spines, (1, 1)),
    "page": Material(patterns.page, (1, 1)),
    "board": Material(patterns.board, (1, 1), 0.05),
    "dark screen": Material(lambda r: patterns.screen(r, False), (1, 1), 0.10),
    "lit screen": Material(lambda r: patterns.screen(r, True), (1, 1), 0.05),
    "slats": Material(lambda r: patterns.slats(r, 32), (1.0, 1.0)),
    "keys": Material(patterns.keys, (1, 1)),
    "looking glass": Material(patterns.reflection, (1, 1), 0.10),
    "cardboard": Material(lambda r: textures.flat((0.66, 0.52, 0.38), 0.06 * textures.noise(r, (4, 64), 8)), (1, 1)),
    **{f"rug {k}": Material(lambda r, k=k: patterns.rug(r, k), (1, 1)) for k in range(4)},
    **{f"picture {k}": Material(lambda r, k=k: patterns.picture(r, k % 6), (1, 1)) for k in range(9)},
}

FOLIAGE = frozenset({"leaves"})
"""Materials whose shading normals belong to a whole crown and are never turned towards the viewer."""

_NAMES = tuple(MATERIALS)
_OFFSET = np.cumsum([0] + [(SIZE >> level) + 2 * _PAD for level in range(LEVELS)])


def index(name: str) -> int:
    """Number of a material."""
    return _NAMES.index(name)


def gloss() -> Float32[np.ndarray, " materials"]:
    """Mirror strength by number."""
    return np.array([m.gloss for m in MATERIALS.values()], np.float32)


@cache
def atlas() -> UInt8[np.ndarray, "rows columns 4"]:
    """Every texture at every level, one row of tiles per material, each with a wrapped border; drawn when needed."""
    return np.zeros(((SIZE + 2 * _PAD) * len(MATERIALS), int(_OFFSET[-1]), 4), np.uint8)


@cache
def _draw(number: int) -> None:
    """Fill the row of a material, so that streets need not wait for the textures of rooms."""
    sheet, top = atlas(), number * (SIZE + 2 * _PAD)
    texture = np.clip(MATERIALS[_NAMES[number]].make(stream(0, "miniature texture", _NAMES[number])), 0, 1)
    for level in range(LEVELS):
        tile = np.pad(texture, ((_PAD, _PAD), (_PAD, _PAD), (0, 0)), mode="wrap")
        left = int(_OFFSET[level])
        sheet[top : top + len(tile), left : left + tile.shape[1]] = np.round(255 * tile)
        texture = (texture[::2, ::2] + texture[1::2, ::2] + texture[::2, 1::2] + texture[1::2, 1::2]) / 4


def lookup(material: Int[np.ndarray, " n"], uv: Float[np.ndarray, "n 2"], footprint: Float[np.ndarray, " n"]
           ) -> Float32[np.ndarray, "n 4"]:  # fmt: skip
    """Texture values, bilinear on the level whose pixels are about as large as the sample's footprint.

    Args:
        material: Number of the material.
        uv: Metres.
        footprint: Side in metres of what the sample covers.
    """
    for number in np.flatnonzero(np.bincount(material, minlength=1)).tolist():
        _draw(number)
    metres = np.array([m.metres for m in MATERIALS.values()], np.float32)[material]
    texel = np.sqrt(metres[:, 0] * metres[:, 1]) / SIZE
    level = np.clip(np.round(np.log2(np.maximum(footprint / texel, 1e-6))), 0, LEVELS - 1).astype(np.int64)
    side = (SIZE >> level).astype(np.float32)
    share = uv / metres
    share -= np.floor(share)
    x = _OFFSET[level] + _PAD - 0.5 + share[:, 0] * side
    y = material.astype(np.int64) * (SIZE + 2 * _PAD) + _PAD - 0.5 + (1 - share[:, 1]) * side
    return bilinear(atlas(), x, y).astype(np.float32) / np.float32(255)


def bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Values (n, channels) of an image, repeated without end, at n places."""
    width = 1024  # cv2 limits either side of a map to 32767
    count = max(1, -(-len(x) // width)) * width
    maps = [np.resize(a.astype(np.float32), count).reshape(-1, width) for a in (x, y)]
    found = cv2.remap(image, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return found.reshape(count, -1)[: len(x)]

"""Drawings of the surfaces of rooms: square periodic textures, most of them to be tinted by the surface's colour."""

import cv2
import numpy as np

from wsss.datasets.miniature.engine.textures import SIZE, Color, Number, Texture, blocks, flat, noise, paint

Rng = np.random.Generator

GROUND: Color = (0.85, 0.85, 0.85)
"""What the surface's own colour tints, light enough to leave the grain room above it."""


def _muted(rng: Rng) -> np.ndarray:
    """A colour as cloth and paper have it."""
    return np.clip(rng.uniform(0.25, 0.85) * (1 + rng.uniform(-0.32, 0.32, 3) + (0.08, 0, -0.08)), 0, 1)


def plaster(rng: Rng, coarse: Number) -> Texture:
    """Painted plaster with the grain of a roller."""
    return flat(GROUND, 0.05 * coarse * noise(rng, 128) + 0.03 * noise(rng, 32, 64) + 0.025 * noise(rng, 2, 4))


def stripes(rng: Rng, count: int, strength: Number) -> Texture:
    """Wallpaper with upright stripes."""
    x = np.arange(SIZE) * count / SIZE % 1
    band = np.where(x < 0.5, 0.0, -strength) - 0.5 * strength * ((x > 0.7) & (x < 0.76))
    return flat(GROUND, band[None] + 0.03 * noise(rng, 64, 128))


def flowers(rng: Rng, count: int, strength: Number) -> Texture:
    """Wallpaper or cloth with scattered blossoms, each second row shifted."""
    canvas = np.zeros((3 * SIZE, 3 * SIZE), np.float32)
    step = SIZE / count
    for row in range(3 * count):
        for column in range(3 * count):
            x, y = (column + 0.5 * (row % 2)) * step, (row + 0.5) * step
            for k in range(5):
                angle = 2 * np.pi * (k / 5 + 0.13 * (row % 2))
                at = (round(x + 0.22 * step * np.cos(angle)), round(y + 0.22 * step * np.sin(angle)))
                cv2.circle(canvas, at, max(1, round(0.11 * step)), 1.0, -1, cv2.LINE_AA)
            cv2.line(canvas, (round(x), round(y)), (round(x - 0.2 * step), round(y + 0.48 * step)), 0.7, 1, cv2.LINE_AA)
    motif = canvas[SIZE : 2 * SIZE, SIZE : 2 * SIZE]
    texture = flat(GROUND, -strength * motif + 0.03 * noise(rng, 64, 128))
    texture[..., 0] *= 1 + 0.25 * motif
    return texture


def damask(rng: Rng) -> Texture:
    """Wallpaper with a repeated ornament."""
    y, x = np.mgrid[:SIZE, :SIZE] * (2 * np.pi / SIZE)
    wave = np.sin(4 * x) * np.sin(4 * y) + 0.7 * np.sin(8 * x + 2 * np.sin(4 * y)) * np.cos(4 * y)
    return flat(GROUND, 0.09 * np.tanh(3 * wave) + 0.03 * noise(rng, 128))


def wood(rng: Rng, contrast: Number) -> Texture:
    """Furniture wood, the grain running upwards."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    bend = 0.06 * noise(rng, (2, 4))
    rings = np.sin(2 * np.pi * (7 * (x + bend) + 0.6 * np.sin(2 * np.pi * y)))
    grain = 0.45 * rings + 0.7 * noise(rng, (2, 64), (4, 128)) + 0.3 * noise(rng, (4, 16))
    return flat(GROUND, contrast * grain)


def parquet(rng: Rng, across: int, lengths: int) -> Texture:
    """Floor boards of varying shade with fine gaps, running upwards."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    column = np.floor(x * across).astype(int)
    shifted = y * lengths + rng.uniform(0, 1, across)[column]
    row = np.floor(shifted).astype(int) % lengths
    shade = rng.uniform(-0.14, 0.14, (across, lengths))[column, row]
    grain = 0.10 * noise(rng, (4, 128), (2, 64)) + 0.04 * noise(rng, 8)
    texture = flat(GROUND, shade + grain)
    gap = ((x * across) % 1 * SIZE / across < 1) | (shifted % 1 * SIZE / lengths < 1)
    texture[gap, :3] *= 0.6
    return texture


def carpet(rng: Rng) -> Texture:
    """Loop pile."""
    return flat(GROUND, 0.22 * noise(rng, 128) + 0.10 * noise(rng, 64) + 0.05 * noise(rng, 4, 8))


def rug(rng: Rng, which: int) -> Texture:
    """A whole rug: framed medallions, lozenges, stripes or rings, in colours of its own."""
    base, other, third = (_muted(rng) for _ in range(3))
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    edge = np.maximum(np.abs(x), np.abs(y))
    field = (
        np.sin(20 * np.abs(x) + 4 * np.sin(18 * y)) * np.cos(16 * y) > 0.2,
        (np.abs(x) * 8 % 1 + np.abs(y) * 8 % 1) % 1 > 0.55,
        (y * 9) % 1 > 0.5,
        np.hypot(x, y) * 9 % 1 > 0.5,
    )[which]
    texture = flat(GROUND, 0.0, 0.15)
    texture[..., :3] = np.where(field[..., None], base, other)
    texture[(edge > 0.42) & (edge < 0.46), :3] = third
    texture[edge > 0.47, :3] = 0.6 * third
    texture[..., :3] *= (1 + 0.25 * noise(rng, 128) + 0.1 * noise(rng, 8))[..., None]
    return texture


def tiles(rng: Rng, rows: int, columns: int, spread: Number, joint: Number, mottle: Number = 0.03) -> Texture:
    """Ceramic tiles with joints."""
    texture = blocks(rng, rows, columns, GROUND, spread, joint, bond=False, width=2)
    texture[..., :3] *= (1 + mottle * noise(rng, 16, 32))[..., None]
    return texture


def checkers(rng: Rng, count: int) -> Texture:
    """Floor tiles in two shades."""
    y, x = np.mgrid[:SIZE, :SIZE] * count // SIZE
    texture = flat(GROUND, np.where((x + y) % 2, -0.28, 0.0) + 0.05 * noise(rng, 16, 128))
    texture[(np.arange(SIZE) * count) % SIZE < count, :, :3] *= 0.8
    texture[:, (np.arange(SIZE) * count) % SIZE < count, :3] *= 0.8
    return texture


def granite(rng: Rng) -> Texture:
    """Speckled stone."""
    return flat(GROUND, 0.55 * noise(rng, 128) * noise(rng, 64) + 0.3 * noise(rng, 128) + 0.1 * noise(rng, 16))


def weave(rng: Rng, count: int) -> Texture:
    """Coarse upholstery."""
    y, x = np.mgrid[:SIZE, :SIZE] * (2 * np.pi * count / SIZE)
    return flat(GROUND, 0.07 * np.sin(x) * np.sin(y) + 0.08 * noise(rng, 8, 16) + 0.10 * noise(rng, 128))


def quilt(rng: Rng, count: int) -> Texture:
    """A patchwork of shades."""
    shade = rng.uniform(-0.45, 0.15, (count, count))
    shade = np.kron(shade, np.ones((SIZE // count, SIZE // count)))
    texture = flat(GROUND, shade + 0.06 * noise(rng, 16, 64))
    texture[..., 2] *= 1 + 0.3 * np.kron(rng.uniform(-1, 1, (count, count)), np.ones((SIZE // count, SIZE // count)))
    return texture


def bands(rng: Rng, edges: tuple[Number, ...]) -> Texture:
    """Striped cloth: level bands that differ in colour from the ground."""
    texture = flat(GROUND, 0.08 * noise(rng, 8, 16) + 0.06 * noise(rng, 128))
    for low, high in zip(edges[::2], edges[1::2], strict=True):
        rows = slice(round((1 - high) * SIZE), round((1 - low) * SIZE))
        texture[rows, :, :3] *= rng.uniform(0.35, 0.8) * rng.uniform(0.8, 1.2, 3)
    return texture


def leather(rng: Rng) -> Texture:
    """Leather with folds."""
    return flat(GROUND, 0.12 * noise(rng, 8, 16) - 0.12 * np.abs(noise(rng, 16, 32)) + 0.05 * noise(rng, 128))


def terry(rng: Rng) -> Texture:
    """Towelling with a woven border."""
    texture = flat(GROUND, 0.20 * noise(rng, 128) + 0.06 * noise(rng, 8))
    for low in (0.08, 0.13):
        paint_over = slice(round((1 - low - 0.03) * SIZE), round((1 - low) * SIZE))
        texture[paint_over, :, :3] *= 0.72
    return texture


def spines(rng: Rng) -> Texture:
    """The backs of about twenty standing books, as wide as a board of a bookshelf."""
    texture = flat((0.10, 0.09, 0.08), tint=0.0)
    x = 0.0
    while x < 1:
        wide = rng.uniform(0.03, 0.075)
        color = _muted(rng)
        top = rng.uniform(0.70, 0.97)
        paint(texture, (x, min(x + wide - 0.005, 1)), (0.0, top), tuple(color))
        band = 1.35 * color if color.mean() < 0.5 else 0.55 * color
        low = rng.uniform(0.45, 0.6) * top
        paint(texture, (x + 0.006, min(x + wide - 0.012, 1)), (low, low + rng.uniform(0.08, 0.25)), tuple(band))
        x += wide
    return texture


def picture(rng: Rng, which: int) -> Texture:
    """A whole picture in its mount: a landscape, a still life, an abstract, a portrait, a poster or a photograph."""
    texture = flat((0.92, 0.91, 0.88), tint=0.0)
    face = np.ascontiguousarray(texture[..., :3])
    rim = int(rng.choice([0, 18, 34]))
    inner = face[rim : SIZE - rim, rim : SIZE - rim]
    side = len(inner)
    sky, land, accent = (_muted(rng) for _ in range(3))
    inner[:] = sky
    rows = np.arange(side) / side
    if which in (0, 5):  # hills
        inner[:] = sky + (1 - sky) * 0.5 * rows[:, None, None]
        for k in range(4):
            crest = 0.45 + 0.14 * k + 0.06 * np.sin(2 * np.pi * (rows * rng.uniform(0.7, 2) + rng.random()))
            inner[rows[:, None] > crest[None]] = land * (0.5 + 0.15 * k)
    elif which == 1:
        inner[int(0.65 * side) :] = land
        for _ in range(6):
            at = (int(rng.uniform(0.2, 0.8) * side), int(rng.uniform(0.4, 0.75) * side))
            cv2.circle(inner, at, int(rng.uniform(0.06, 0.16) * side), _muted(rng).tolist(), -1)
    elif which == 2:
        for _ in range(9):
            corners = (rng.random((2, 2)) * side).astype(int)
            cv2.rectangle(inner, corners[0].tolist(), corners[1].tolist(), _muted(rng).tolist(), -1)
    elif which == 3:
        cv2.ellipse(inner, (side // 2, side), (int(0.36 * side), int(0.4 * side)), 0, 0, 360, land.tolist(), -1)
        cv2.ellipse(inner, (side // 2, int(0.42 * side)), (int(0.15 * side), int(0.2 * side)), 0, 0, 360,
                    (0.80, 0.62, 0.50), -1)  # fmt: skip
    else:
        inner[: side // 3] = accent
        for k in range(6):
            y = side // 3 + 14 + k * side // 10
            cv2.line(inner, (14, y), (int(rng.uniform(0.4, 0.95) * side), y), (0.12, 0.12, 0.14), 6)
    texture[..., :3] = face * (1 + 0.1 * noise(rng, 16, 64))[..., None]
    return texture


def page(rng: Rng) -> Texture:
    """A printed page."""
    texture = flat((0.93, 0.93, 0.91), 0.02 * noise(rng, 16), 0.5)
    for y in np.arange(0.1, 0.9, 0.06):
        paint(texture, (0.12, rng.uniform(0.5, 0.88)), (y, y + 0.02), (0.42, 0.42, 0.44))
    return texture


def board(rng: Rng) -> Texture:
    """A whiteboard with writing."""
    texture = flat((0.93, 0.94, 0.94), 0.02 * noise(rng, 4, 8), 0.0)
    face = np.ascontiguousarray(texture[..., :3])
    for row in range(5):
        if rng.random() < 0.75:
            x = np.linspace(rng.uniform(8, 40), rng.uniform(100, 240), 60)
            y = 30 + row * 42 + 7 * np.sin(x * rng.uniform(0.3, 0.6)) + rng.normal(0, 2.5, 60)
            color = ((0.15, 0.2, 0.55), (0.15, 0.15, 0.16), (0.65, 0.15, 0.15))[int(rng.integers(3))]
            cv2.polylines(face, [np.stack([x, y], 1).astype(np.int32)], False, color, 2, cv2.LINE_AA)
    texture[..., :3] = face
    return texture


def screen(rng: Rng, lit: bool) -> Texture:
    """A dark screen, or one that shows windows."""
    texture = flat((0.07, 0.075, 0.085), 0.1 * noise(rng, 4), 0.0)
    if lit:
        paint(texture, (0.03, 0.97), (0.05, 0.95), tuple(rng.uniform(0.25, 0.55, 3)))
        for _ in range(4):
            x, y = rng.uniform(0.05, 0.55), rng.uniform(0.1, 0.55)
            paint(texture, (x, x + 0.36), (y, y + 0.32), tuple(rng.uniform(0.5, 0.95, 3)))
    return texture


def slats(rng: Rng, count: int) -> Texture:
    """Blinds: level slats, each lit at its upper edge."""
    y = np.arange(SIZE) * count / SIZE % 1
    shade = np.where(y > 0.86, -0.5, 0.06 - 0.22 * y)
    texture = flat(GROUND, shade[:, None] + 0.02 * noise(rng, 16))
    texture[:, [40, 41, 168, 169], :3] *= 0.8
    return texture


def keys(rng: Rng) -> Texture:
    """A keyboard."""
    texture = tiles(rng, 6, 16, 0.05, 0.45)
    paint(texture, (0.28, 0.62), (0.02, 0.15), (0.9, 0.9, 0.9), 1.0)
    return texture


def reflection(rng: Rng) -> Texture:
    """What a looking glass shows: a pale, blurred room."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    texture = flat((0.62, 0.65, 0.66), 0.12 * noise(rng, 2, 4) + 0.16 * (y < 0.4) + 0.05 * (x > 0.6), 0.4)
    paint(texture, (0.1, 0.35), (0.0, 0.45), (0.46, 0.42, 0.38), 0.4)
    return texture

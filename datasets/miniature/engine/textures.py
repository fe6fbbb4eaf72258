"""Drawings of the surfaces of a street: square periodic textures.

A texture has four channels in [0, 1]: display RGB, and how much the surface's own colour applies (a painted wall takes
it, the windows in that wall do not).
"""

import cv2
import numpy as np
from jaxtyping import Float32

SIZE = 256
"""Pixels of a texture's side."""

Number = float | int
Interval = tuple[Number, Number]
"""Lower and upper bound."""
Color = tuple[Number, Number, Number]
"""Display RGB in [0, 1]."""
Texture = Float32[np.ndarray, "256 256 4"]


def noise(rng: np.random.Generator, *cells: int | tuple[int, int]) -> Float32[np.ndarray, "256 256"]:
    """Periodic value noise in [-1, 1], the mean over grids of the given numbers of cells (rows, columns)."""
    total = np.zeros((SIZE, SIZE), np.float32)
    for cell in cells:
        rows, columns = cell if isinstance(cell, tuple) else (cell, cell)
        grid = np.pad(rng.uniform(-1, 1, (rows, columns)).astype(np.float32), 2, mode="wrap")
        step_y, step_x = SIZE // rows, SIZE // columns
        big = cv2.resize(grid, ((columns + 4) * step_x, (rows + 4) * step_y), interpolation=cv2.INTER_CUBIC)
        crop = big[2 * step_y : 2 * step_y + rows * step_y, 2 * step_x : 2 * step_x + columns * step_x]
        total += cv2.resize(crop, (SIZE, SIZE)) if crop.shape != total.shape else crop
    return total / len(cells)


def flat(rgb: Color, grain: np.ndarray | float = 0.0, tint: Number = 1.0) -> Texture:
    """One colour, its brightness varied by ``grain``."""
    texture = np.empty((SIZE, SIZE, 4), np.float32)
    texture[..., :3] = np.asarray(rgb, np.float32) * (1 + np.asarray(grain, np.float32)[..., None])
    texture[..., 3] = tint
    return texture


def paint(texture: Texture, x: Interval, y: Interval, rgb: Color,
           tint: Number = 0.0) -> None:  # fmt: skip
    """Fill a rectangle given as shares of the tile, y up from the bottom."""
    rows = slice(round((1 - y[1]) * SIZE), round((1 - y[0]) * SIZE))
    texture[rows, round(x[0] * SIZE) : round(x[1] * SIZE)] = (*rgb, tint)


def asphalt(rng: np.random.Generator) -> Texture:
    """Worn asphalt with sealed cracks."""
    grain = 0.10 * noise(rng, 128) + 0.16 * noise(rng, 4, 8) + 0.12 * noise(rng, (2, 8), (1, 4))
    texture = flat((0.42, 0.42, 0.43), grain)
    for _ in range(3):  # sealed cracks
        walk = np.cumsum(rng.normal(0, 3, 12))
        points = np.stack([np.linspace(0, SIZE, 12), rng.uniform(0, SIZE) + walk - walk[-1] * np.linspace(0, 1, 12)], 1)
        line = np.ascontiguousarray(texture[..., :3])
        cv2.polylines(line, [points.astype(np.int32)], False, (0.3, 0.3, 0.31), 1)
        texture[..., :3] = line
    return texture


def blocks(rng: np.random.Generator, rows: int, columns: int, rgb: Color, spread: Number = 0.12,
            joint: Number = 0.62, bond: bool = True, width: int = 2) -> Texture:  # fmt: skip
    """Bricks, slabs or cobbles: blocks of varying shade with darker joints, every second row shifted by half."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    row = np.floor(y * rows).astype(int)
    shifted = x * columns + (0.5 * (row % 2) if bond else 0)
    column = np.floor(shifted).astype(int) % columns
    shade = rng.uniform(-spread, spread, (rows, columns))[row, column] + 0.08 * noise(rng, 8, 64)
    texture = flat(rgb, shade)
    edge = np.minimum((y * rows) % 1 * SIZE / rows, shifted % 1 * SIZE / columns) < width
    texture[edge, :3] *= joint
    return texture


def grass(rng: np.random.Generator) -> Texture:
    """A meadow."""
    texture = flat((0.34, 0.41, 0.20), 0.25 * noise(rng, 128) + 0.4 * noise(rng, 4, 8, 32))
    texture[..., 0] *= 1 + 0.35 * noise(rng, 4, 16)
    return texture


def leaves(rng: np.random.Generator) -> Texture:
    """Dense leaves."""
    texture = flat((0.36, 0.45, 0.22), 0.9 * noise(rng, 32, 64))
    texture[..., 0] *= 1 + 0.3 * noise(rng, 8)
    return texture


def wall(rng: np.random.Generator, ground: str) -> Texture:
    """Plain ``plaster``, ``brick`` or ``stone``."""
    if ground == "brick":
        return blocks(rng, 64, 16, (0.62, 0.40, 0.33), 0.16, 0.8, width=1)
    if ground == "stone":
        return blocks(rng, 12, 8, (0.70, 0.66, 0.58), 0.08, 0.8)
    return flat((0.82, 0.80, 0.76), 0.05 * noise(rng, 4, 64) + 0.06 * noise(rng, (2, 16)))


def windows(rng: np.random.Generator, ground: str, bays: int, width: Number, height: Number, low: Number,
             frame: Color, surround: Number) -> Texture:  # fmt: skip
    """Two storeys of ``bays`` windows each; sizes are shares of a bay."""
    texture = wall(rng, ground)
    for storey in range(2):
        for bay in range(bays):
            x0, x1 = (bay + 0.5 - width / 2) / bays, (bay + 0.5 + width / 2) / bays
            y0, y1 = (storey + low) / 2, (storey + low + height) / 2
            if surround:
                paint(texture, (x0 - surround, x1 + surround), (y0 - surround, y1 + surround), (0.86, 0.84, 0.80), 0.3)
            paint(texture, (x0, x1), (y0, y1), frame)
            glass = rng.uniform(0.16, 0.42)
            middle = (x0 + x1) / 2
            for a, b in ((x0 + 0.008, middle - 0.004), (middle + 0.004, x1 - 0.008)):
                paint(texture, (a, b), (y0 + 0.01, y1 - 0.01), (glass * 0.85, glass * 0.95, glass * 1.05))
                if rng.random() < 0.5:  # a blind or the sky's reflection in the upper part
                    shade = rng.uniform(0.35, 0.75)
                    part = y1 - rng.uniform(0.2, 0.7) * (y1 - y0)
                    paint(texture, (a, b), (part, y1 - 0.01), (shade, shade, shade * 0.97))
            paint(texture, (x0 - 0.01, x1 + 0.01), (y0 - 0.012, y0), (0.72, 0.70, 0.67))
            paint(texture, (x0 - 0.01, x1 + 0.01), (y0 - 0.022, y0 - 0.012), (0.35, 0.34, 0.33), 0.3)
    paint(texture, (0, 1), (0.497, 0.505), (0.66, 0.64, 0.60), 0.8)
    return texture


def office(rng: np.random.Generator) -> Texture:
    """Four storeys of glass and panels."""
    texture = flat((0.36, 0.43, 0.47), 0.2 * noise(rng, 4, 8), 0.2)
    for storey in range(4):
        paint(texture, (0, 1), (storey / 4, storey / 4 + 0.07), (0.62, 0.63, 0.64), 0.8)
        for bay in range(8):
            if rng.random() < 0.35:
                shade = rng.uniform(0.2, 0.65)
                paint(
                    texture, (bay / 8, bay / 8 + 0.125), (storey / 4 + 0.07, storey / 4 + 0.25), (shade, shade, shade)
                )
    for bay in range(8):
        paint(texture, (bay / 8, bay / 8 + 0.012), (0, 1), (0.5, 0.51, 0.52), 0.6)
    return texture


def shop(rng: np.random.Generator) -> Texture:
    """One storey of shop windows, 12 m wide, with a door and a lettered fascia."""
    texture = wall(rng, "plaster")
    for bay in range(3):
        x0, x1 = bay / 3 + 0.02, (bay + 1) / 3 - 0.02
        fascia = tuple(rng.uniform(0.25, 0.7) + rng.uniform(-0.14, 0.14, 3))
        paint(texture, (x0, x1), (0.80, 0.95), (fascia[0], fascia[1], fascia[2]))
        for letter in np.arange(x0 + 0.06, x1 - 0.06, 0.016):
            paint(texture, (letter, letter + rng.uniform(0.004, 0.012)), (0.84, 0.91), (0.92, 0.92, 0.88))
        paint(texture, (x0, x1), (0.10, 0.78), (0.20, 0.22, 0.23))
        for _ in range(9):  # the window display
            a, shade = rng.uniform(x0, x1 - 0.04), rng.uniform(0.15, 0.65) + rng.uniform(-0.15, 0.15, 3)
            top = rng.uniform(0.15, 0.6)
            paint(texture, (a, a + rng.uniform(0.01, 0.04)), (0.12, top), (shade[0], shade[1], shade[2]))
        paint(texture, (x0 + 0.2, x0 + 0.27), (0.0, 0.76), tuple(0.5 * np.asarray(fascia)))
        paint(texture, (x0 + 0.21, x0 + 0.26), (0.3, 0.7), (0.25, 0.28, 0.3))
    return texture


def entrance(rng: np.random.Generator, ground: str) -> Texture:
    """One storey, 9 m wide: two windows and a door."""
    texture = wall(rng, ground)
    paint(texture, (0, 1), (0, 0.12), (0.52, 0.50, 0.48), 0.5)
    for x0 in (0.08, 0.70):
        paint(texture, (x0, x0 + 0.18), (0.32, 0.82), (0.85, 0.84, 0.82))
        for a in (x0 + 0.012, x0 + 0.096):
            shade = rng.uniform(0.15, 0.4)
            paint(texture, (a, a + 0.072), (0.35, 0.79), (shade * 0.9, shade, shade * 1.1))
    door = rng.uniform(0.15, 0.5, 3)
    paint(texture, (0.42, 0.57), (0, 0.80), (0.75, 0.72, 0.68))
    paint(texture, (0.435, 0.555), (0, 0.77), (door[0], door[1], door[2]))
    paint(texture, (0.455, 0.535), (0.45, 0.72), (0.22, 0.25, 0.28))
    return texture


def planks(rng: np.random.Generator, count: int, rgb: Color, gap: Number) -> Texture:
    """Upright boards with dark gaps; laid over two rails."""
    x = np.arange(SIZE) * count / SIZE
    board = np.floor(x).astype(int)
    shade = rng.uniform(-0.15, 0.15, count)[board] + 0.1 * noise(rng, (2, 64), (4, 128))
    texture = flat(rgb, shade)
    texture[:, (x % 1) < gap, :3] *= 0.35
    return texture


def railing(rng: np.random.Generator) -> Texture:
    """Bars before shade, as a fence looks whose holes an annotator paints over."""
    texture = flat((0.33, 0.36, 0.30), 0.5 * noise(rng, 16, 32), 0.1)
    for k in range(16):
        paint(texture, (k / 16, k / 16 + 0.022), (0, 1), (0.7, 0.7, 0.7), 1.0)
    for low in (0.06, 0.90):
        paint(texture, (0, 1), (low, low + 0.05), (0.75, 0.75, 0.75), 1.0)
    return texture


def sign(rng: np.random.Generator, which: int) -> Texture:
    """The face of a traffic sign: limit, one way, give way, diversion, information."""
    texture = flat((0.93, 0.93, 0.93), tint=0.0)
    face = np.ascontiguousarray(texture[..., :3])
    red, blue, black = (0.78, 0.10, 0.12), (0.10, 0.25, 0.65), (0.1, 0.1, 0.1)
    if which == 0:
        cv2.circle(face, (128, 128), 106, red, 40)
        for x in (78, 138):  # two digits
            cv2.rectangle(face, (x, 90), (x + 40, 166), black, 14)
    elif which == 1:
        face[:] = blue
        cv2.arrowedLine(face, (128, 210), (128, 50), (0.95, 0.95, 0.95), 24, tipLength=0.4)
    elif which == 2:
        face[:] = red
        cv2.polylines(face, [np.array([[40, 52], [216, 52], [128, 214]])], True, (0.95, 0.95, 0.95), 6)
        cv2.fillPoly(face, [np.array([[70, 70], [186, 70], [128, 180]])], (0.95, 0.95, 0.95))
    else:
        face[:] = (0.92, 0.78, 0.12) if which == 3 else blue
        for y in (70, 120, 170):
            cv2.line(face, (30, y), (int(rng.integers(120, 220)), y), black if which == 3 else (1, 1, 1), 14)
    texture[..., :3] = face
    return texture


def signal(rng: np.random.Generator) -> Texture:
    """The three lamps of a traffic light."""
    texture = flat((0.10, 0.11, 0.10), tint=0.0)
    face = np.ascontiguousarray(texture[..., :3])
    lit = int(rng.integers(0, 2)) * 2
    for k, rgb in enumerate(((1.0, 0.15, 0.1), (0.9, 0.7, 0.1), (0.2, 1.0, 0.6))):
        cv2.circle(face, (128, 43 + 85 * k), 34, rgb if k == lit else tuple(0.28 * c for c in rgb), -1)
    texture[..., :3] = face
    return texture


def coach(rng: np.random.Generator, low: Number, high: Number, windows: int) -> Texture:
    """The side of a bus or tram: coloured sheet with a band of windows."""
    texture = flat((0.95, 0.95, 0.95), 0.03 * noise(rng, 8))
    for k in range(windows):
        shade = rng.uniform(0.10, 0.25)
        paint(texture, (k / windows + 0.012, (k + 1) / windows - 0.012), (low, high), (shade, shade * 1.1, shade * 1.2))
    paint(texture, (0, 1), (0.0, 0.07), (0.15, 0.15, 0.16))
    paint(texture, (0, 1), (low - 0.10, low - 0.05), (0.85, 0.85, 0.85))
    return texture


def wheel(rng: np.random.Generator) -> Texture:
    """Black rubber."""
    return flat((0.07, 0.07, 0.075), 0.1 * noise(rng, 16), 0.0)


def spokes(rng: np.random.Generator) -> Texture:
    """A wheel whose spokes blur with what shows between them."""
    texture = flat((0.36, 0.36, 0.37), 0.5 * noise(rng, 32, 64), 0.0)
    return texture


def bark(rng: np.random.Generator) -> Texture:
    """Bark of a tree."""
    return flat((0.40, 0.34, 0.28), 0.3 * noise(rng, (4, 32), (8, 64)))

"""Vehicles. Each stands on z = 0, centred, facing +x; ``rng`` decides its details."""

import numpy as np

from wsss.datasets.miniature.engine.shapes import (
    Color,
    Look,
    Mesh,
    ball,
    box,
    circle,
    join,
    loft,
    polygon,
    quads,
    tube,
)
from wsss.datasets.miniature.engine.textures import Interval, Number

Rng = np.random.Generator

PAINTS: tuple[Color, ...] = (
    (0.16, 0.16, 0.17),
    (0.10, 0.10, 0.11),
    (0.42, 0.43, 0.44),
    (0.60, 0.61, 0.62),
    (0.78, 0.79, 0.80),
    (0.92, 0.92, 0.91),
    (0.34, 0.35, 0.37),
    (0.16, 0.22, 0.38),
    (0.55, 0.12, 0.12),
    (0.24, 0.32, 0.24),
    (0.45, 0.40, 0.32),
    (0.26, 0.38, 0.56),
)
"""Car colours, mostly those of roads, walls and glass."""


def pick(rng: Rng, colors: tuple[Color, ...]) -> Color:
    """One of several colours."""
    return colors[int(rng.integers(len(colors)))]


def _wheels(kind: str, radius: float, x: tuple[float, ...], y: float, width: Number = 0.22) -> list[Mesh]:
    tyre, hub = Look(kind, "tyre"), Look(kind, "plain", (0.50, 0.51, 0.53))
    outline, parts = circle(radius, 12), []
    for along in x:
        for side in (-1, 1):
            rim = np.c_[outline[:, 0] + along, np.full(12, side * y), outline[:, 1] + radius]
            parts.append(loft(np.stack([rim - [0, side * width, 0], rim]), tyre))
            inner = np.c_[0.62 * outline[:, 0] + along, np.full(12, side * (y + 0.01)), 0.62 * outline[:, 1] + radius]
            parts.append(polygon(inner, hub))
    return parts


def _plate(kind: str, x: Number, y: Interval, z: Interval, color: Color) -> Mesh:
    """A small upright rectangle across the driving direction: lamps, number plates."""
    corners = [(x, y[0], z[0]), (x, y[1], z[0]), (x, y[1], z[1]), (x, y[0], z[1])]
    return quads([corners], Look(kind, "plain", color))


def _lamps(kind: str, front: float, rear: float, half: Number, z: Number, size: float = 0.16) -> list[Mesh]:
    parts = []
    for side in (-1, 1):
        near, far = sorted((side * half, side * (half - 0.34)))
        parts.append(_plate(kind, front, (near, far), (z, z + size), (0.95, 0.95, 0.90)))
        parts.append(_plate(kind, rear, (near, far), (z + 0.05, z + size + 0.12), (0.62, 0.06, 0.06)))
    number = ((-0.27, 0.27), (z - 0.22, z - 0.1), (0.92, 0.92, 0.88))
    return [*parts, _plate(kind, front, *number), _plate(kind, rear, *number)]


_CARS = {  # length, half width, roof, belt, bonnet, windscreen base and top, rear window top and base (from the front)
    "hatchback": (4.0, 0.87, 1.48, 0.92, 0.86, 1.05, 1.75, 3.55, 3.92),
    "saloon": (4.6, 0.90, 1.44, 0.90, 0.84, 1.25, 2.00, 3.35, 4.00),
    "estate": (4.7, 0.91, 1.50, 0.92, 0.86, 1.25, 2.00, 4.30, 4.62),
    "off-roader": (4.5, 0.94, 1.70, 1.08, 1.02, 1.20, 1.75, 4.10, 4.42),
    "van": (4.9, 0.97, 1.96, 1.12, 1.05, 0.65, 1.45, 4.75, 4.86),
}


def car(rng: Rng) -> Mesh:
    """A passenger car or small van."""
    names = list(_CARS)
    shape = _CARS[names[int(rng.choice(len(names), p=[0.3, 0.25, 0.2, 0.15, 0.1]))]]
    length, half, roof, belt, bonnet, *window = (v * rng.uniform(0.98, 1.03) for v in shape)
    paint = pick(rng, PAINTS)
    body = Look("car", "paint", paint)
    front = length / 2
    stations = [  # x from the front, bottom, top, half width
        (0.0, 0.36, bonnet - 0.20, 0.80 * half),
        (0.12, 0.25, bonnet - 0.08, 0.94 * half),
        (0.6, 0.22, bonnet, half),
        (window[0], 0.22, belt, half),
        (window[3], 0.22, belt + 0.02, half),
        (length - 0.15, 0.25, belt + 0.01, 0.95 * half),
        (length, 0.36, belt - 0.14, 0.86 * half),
    ]
    rings = [
        [
            (front - x, s * w * k, z)
            for s, k, z in (
                (-1, 0.94, z0),
                (1, 0.94, z0),
                (1, 1.0, z0 + 0.28),
                (1, 0.97, z1 - 0.09),
                (1, 0.86, z1),
                (-1, 0.86, z1),
                (-1, 0.97, z1 - 0.09),
                (-1, 1.0, z0 + 0.28),
            )
        ]
        for x, z0, z1, w in stations
    ]
    parts = [loft(rings, body)]
    parts += _cabin(front, half, belt, roof, window, body)
    wheel = 0.31 if roof < 1.6 else 0.36
    parts += _wheels("car", wheel, (front - 0.85, -front + 0.85), half - 0.01)
    parts += _lamps("car", front + 0.005, -front - 0.005, 0.78 * half, belt - 0.38)
    return join(parts)


def _cabin(front: float, half: float, belt: float, roof: float, window: list[float], body: Look) -> list[Mesh]:
    """Glass, roof and pillars; ``window`` is the windscreen's base and top and the rear window's top and base."""
    low = [(front - window[3], -0.86 * half), (front - window[0], -0.86 * half)]
    high = [(front - window[2], -0.70 * half), (front - window[1], -0.70 * half)]
    lower = np.array([(*low[0], belt), (*low[1], belt), (low[1][0], -low[1][1], belt), (low[0][0], -low[0][1], belt)])
    upper = np.array(
        [(*high[0], roof), (*high[1], roof), (high[1][0], -high[1][1], roof), (high[0][0], -high[0][1], roof)]
    )
    parts = [loft(np.stack([lower, 0.12 * lower + 0.88 * upper]), Look("car", "glass"), caps=False)]
    parts.append(loft(np.stack([0.12 * lower + 0.88 * upper, upper]), body))
    half_pillar = np.array([0.05, 0, 0])
    for share in (0.0, 0.42, 1.0):
        for side in (0, 1):
            a, b = (lower[3], lower[2]) if side else (lower[0], lower[1])
            c, d = (upper[3], upper[2]) if side else (upper[0], upper[1])
            out = np.array([0, 0.012 if side else -0.012, 0])
            foot, head = a + share * (b - a) + out, c + share * (d - c) + out
            parts.append(
                quads([[foot - half_pillar, foot + half_pillar, head + half_pillar, head - half_pillar]], body)
            )
    return parts


def truck(rng: Rng) -> Mesh:
    """A lorry: a cab and a box, or a large van."""
    length = rng.uniform(6.0, 9.5)
    half, height = rng.uniform(1.15, 1.25), rng.uniform(2.9, 3.7)
    cab_paint = pick(rng, PAINTS)
    cargo = pick(
        rng,
        ((0.9, 0.9, 0.88), (0.75, 0.76, 0.78), (0.25, 0.35, 0.55), (0.60, 0.15, 0.12), (0.35, 0.45, 0.30), cab_paint),
    )
    front = length / 2
    cab, cab_top = front - 1.9, min(height - 0.2, 2.7)
    look = Look("truck", "paint", cab_paint)
    parts = [
        box((cab, front), (-half * 0.95, half * 0.95), (0.45, 1.25), look),
        loft(
            [
                [(cab, -half * 0.95, z), (x, -half * 0.95, z), (x, half * 0.95, z), (cab, half * 0.95, z)]
                for x, z in ((front, 1.25), (front - 0.25, 2.15))
            ],
            Look("truck", "glass"),
            caps=False,
        ),
        box((cab, front - 0.25), (-half * 0.95, half * 0.95), (2.15, cab_top), look, top=0.93),
        box((cab, cab + 0.7), (-half * 0.96, half * 0.96), (1.2, 2.2), look),
        box(
            (-front, cab - 0.12),
            (-half, half),
            (1.0, height),
            Look("truck", "sheet" if rng.random() < 0.4 else "paint", cargo),
        ),
        box((-front + 0.2, cab), (-0.9 * half, 0.9 * half), (0.55, 1.0), Look("truck", "plain", (0.13, 0.13, 0.14))),
    ]
    parts += _wheels("truck", 0.48, (front - 1.0, -front + 1.0, -front + 2.1), half - 0.02, 0.3)
    parts += _lamps("truck", front + 0.01, -front - 0.01, 0.9 * half, 0.62)
    return join(parts)


def _coach(kind: str, side: str, length: float, half: Number, height: Number, paint: Color, low: Number) -> list[Mesh]:
    """A long box whose walls carry a band of windows."""
    front, z = length / 2, (low, height)
    look, glass = Look(kind, side, paint), Look(kind, "glass")
    walls = [
        [(-front, -half, z[0]), (front, -half, z[0]), (front, -half, z[1]), (-front, -half, z[1])],
        [(front, half, z[0]), (-front, half, z[0]), (-front, half, z[1]), (front, half, z[1])],
        [(front, -half, z[0]), (front, half, z[0]), (front, half, z[1]), (front, -half, z[1])],
        [(-front, half, z[0]), (-front, -half, z[0]), (-front, -half, z[1]), (-front, half, z[1])],
    ]
    uv = [[(0, 0), (n, 0), (n, height), (0, height)] for n in (length, length, 2.8, 2.8)]
    parts = [quads(walls, look, np.array(uv) * [1, 2.9 / height if kind == "bus" else 3.3 / height])]
    parts.append(
        box((-front + 0.1, front - 0.1), (-half + 0.1, half - 0.1), (height, height + 0.12), Look(kind, "paint", paint))
    )
    for x, tilt in ((front, 0.02), (-front, -0.02)):
        pane = [
            (x + tilt, s * 0.9 * half, q) for s, q in ((-1, 1.15), (1, 1.15), (1, height - 0.45), (-1, height - 0.45))
        ]
        parts.append(quads([pane], glass))
        board = [(x + tilt, s * 0.6 * half, height - q) for s, q in ((-1, 0.38), (1, 0.38), (1, 0.12), (-1, 0.12))]
        parts.append(quads([board], Look(kind, "plain", (0.12, 0.11, 0.08))))
    return parts + _lamps(kind, front + 0.02, -front - 0.02, 0.9 * half, 0.6)


def bus(rng: Rng) -> Mesh:
    """A city bus."""
    paint = pick(
        rng, ((0.85, 0.72, 0.15), (0.65, 0.12, 0.12), (0.86, 0.86, 0.85), (0.25, 0.42, 0.30), (0.30, 0.42, 0.62))
    )
    length = rng.uniform(9.5, 12.5)
    parts = _coach("bus", "bus side", length, 1.25, 3.0, paint, 0.32)
    parts += _wheels("bus", 0.48, (length / 2 - 2.5, -length / 2 + 3.0), 1.26, 0.3)
    return join(parts)


def tram(rng: Rng) -> Mesh:
    """Two cars of a tram."""
    paint = pick(rng, ((0.80, 0.70, 0.18), (0.62, 0.14, 0.14), (0.84, 0.84, 0.82), (0.32, 0.44, 0.36)))
    parts = []
    for middle in (-7.6, 7.6):
        parts += [m.placed(middle, 0) for m in _coach("train", "tram side", 15.0, 1.3, 3.4, paint, 0.25)]
    parts.append(box((-0.3, 0.3), (-1.1, 1.1), (0.4, 3.2), Look("train", "plain", (0.15, 0.15, 0.16))))
    return join(parts)


def trailer(rng: Rng) -> Mesh:
    """A covered trailer without its car."""
    look = Look("trailer", "sheet", pick(rng, PAINTS))
    return join(
        [
            box((-1.4, 1.2), (-0.8, 0.8), (0.5, rng.uniform(1.2, 1.9)), look),
            tube((1.2, 0, 0.45), (2.2, 0, 0.4), 0.05, look),
            *_wheels("trailer", 0.3, (-0.2,), 0.9, 0.2),
        ]
    )


def _two_wheels(kind: str, base: float, radius: float, spokes: bool) -> list[Mesh]:
    parts, outline = [], circle(radius, 14)
    for x in (-base / 2, base / 2):
        rim = np.c_[outline[:, 0] + x, np.zeros(14), outline[:, 1] + radius]
        width = 0.025 if spokes else 0.07
        across = np.array([0, width, 0])
        parts.append(loft(np.stack([rim - across, rim + across]), Look(kind, "tyre"), caps=False))
        for side in (-width * 0.7, width * 0.7):
            inner = np.c_[outline[:, 0] * 0.86 + x, np.full(14, side), outline[:, 1] * 0.86 + radius]
            parts.append(polygon(inner, Look(kind, "spokes")))
    return parts


def bicycle(rng: Rng) -> Mesh:
    """A bicycle without a rider."""
    frame = Look("bicycle", "plain", pick(rng, PAINTS))
    bars = [
        ((-0.52, 0.34), (-0.12, 0.30)),
        ((-0.12, 0.30), (-0.25, 0.85)),
        ((-0.25, 0.80), (0.38, 0.82)),
        ((-0.12, 0.30), (0.40, 0.78)),
        ((0.52, 0.34), (0.38, 0.98)),
        ((-0.52, 0.34), (-0.24, 0.78)),
    ]
    parts = [tube((a[0], 0, a[1]), (b[0], 0, b[1]), 0.035, frame, 4) for a, b in bars]
    parts.append(tube((0.36, -0.27, 1.02), (0.36, 0.27, 1.02), 0.03, Look("bicycle", "plain", (0.1, 0.1, 0.1)), 4))
    parts.append(box((-0.38, -0.12), (-0.08, 0.08), (0.86, 0.94), Look("bicycle", "plain", (0.12, 0.1, 0.09))))
    if rng.random() < 0.4:
        parts.append(box((0.45, 0.72), (-0.17, 0.17), (0.72, 0.98), Look("bicycle", "cloth", (0.45, 0.36, 0.25))))
    return join(parts + _two_wheels("bicycle", 1.06, 0.34, spokes=True))


def motorcycle(rng: Rng) -> Mesh:
    """A motorcycle or scooter without a rider."""
    paint = Look("motorcycle", "paint", pick(rng, (*PAINTS, (0.7, 0.1, 0.1), (0.1, 0.3, 0.6))))
    dark = Look("motorcycle", "plain", (0.13, 0.13, 0.14))
    parts = [
        box((-0.35, 0.30), (-0.18, 0.18), (0.30, 0.68), Look("motorcycle", "plain", (0.30, 0.30, 0.31))),
        loft(
            [
                [(x, -w, z0), (x, w, z0), (x, w, z1), (x, -w, z1)]
                for x, w, z0, z1 in (
                    (-0.95, 0.08, 0.76, 0.86),
                    (-0.3, 0.18, 0.66, 0.86),
                    (0.1, 0.2, 0.66, 1.02),
                    (0.5, 0.14, 0.72, 0.96),
                )
            ],
            paint,
        ),
        box((-0.75, 0.0), (-0.15, 0.15), (0.84, 0.93), dark),
        tube((0.72, 0, 0.35), (0.45, 0, 1.1), 0.06, dark, 5),
        tube((0.42, -0.36, 1.1), (0.42, 0.36, 1.1), 0.03, dark, 4),
        ball((0.58, 0, 0.98), (0.12, 0.14, 0.14), Look("motorcycle", "plain", (0.85, 0.85, 0.8)), 6, 4),
    ]
    if rng.random() < 0.5:
        parts.append(box((-0.98, -0.62), (-0.22, 0.22), (0.92, 1.26), paint))
    return join(parts + _two_wheels("motorcycle", 1.4, 0.32, spokes=False))

"""Floor, walls, ceiling, doors and windows of a room, what is seen outside, and the light that comes in."""

from dataclasses import dataclass, replace

import numpy as np

from wsss.datasets.miniature.engine.lamps import Lamp
from wsss.datasets.miniature.engine.render import Light
from wsss.datasets.miniature.engine.shapes import Look, Mesh, join, quads
from wsss.datasets.miniature.engine.textures import Color
from wsss.datasets.miniature.rooms import fixtures
from wsss.datasets.miniature.rooms.floorplan import Plan, Rng
from wsss.datasets.miniature.rooms.furniture import cloth
from wsss.datasets.miniature.rooms.parts import PAINTS, WOODS, boxes, tint
from wsss.datasets.miniature.streets import scenery


@dataclass(frozen=True)
class Window:
    """An opening: its wall, the interval along it, and its lower and upper edge."""

    wall: int
    along: tuple[float, float]
    z: tuple[float, float]


WALLS = ("painted wall", "rough wall", "striped paper", "flowered paper", "damask", "panels", "brick")
FLOORS = {
    "boards": WOODS[:6],
    "strips": WOODS[:6],
    "carpet": ((0.72, 0.66, 0.58), (0.55, 0.55, 0.56), (0.60, 0.50, 0.42), (0.42, 0.46, 0.54), (0.80, 0.76, 0.68)),
    "floor tiles": ((0.95, 0.92, 0.86), (0.75, 0.70, 0.64), (0.66, 0.50, 0.42)),
    "checkers": ((1.0, 0.98, 0.94), (0.85, 0.78, 0.68)),
}
_ENLARGED = {"painted wall": 2.6, "rough wall": 2.6, "carpet": 3.2, "boards": 1.3, "strips": 1.3}
"""Times by which a tile of a texture is larger than its material has it, so that no picture shows two of them: what
repeats tells nobody where he is. Patterns that repeat in real rooms are left as they are."""


def surfaces(plan: Plan, scene_type: str) -> None:
    """Floor, ceiling and walls; the openings must have been cut."""
    rng, w, d, h = plan.rng, plan.width, plan.depth, plan.height
    wet = scene_type in ("bathroom", "kitchen")
    plain = scene_type in ("office", "classroom")
    floors = ("floor tiles", "checkers") if wet else ("carpet", "carpet", "boards") if plain else (
        "boards", "strips", "carpet", "boards")  # fmt: skip
    floor = floors[int(rng.integers(len(floors)))]
    look = Look("floor", floor, tint(rng, FLOORS[floor]))
    turn = rng.random() < 0.5
    uv = [[(0, 0), (w, 0), (w, d), (0, d)]] if turn else [[(0, 0), (0, w), (d, w), (d, 0)]]
    scaled = np.array(uv) / _ENLARGED.get(floor, 1.0)
    plan.parts.append(quads([[(0, 0, 0), (w, 0, 0), (w, d, 0), (0, d, 0)]], look, scaled))
    above = Look("ceiling", "ceiling tiles" if plain and rng.random() < 0.8 else "rough wall", tint(rng, PAINTS[:3]))
    plan.parts.append(quads([[(0, 0, h), (0, d, h), (w, d, h), (w, 0, h)]], above))
    drawn = "" if wet or plain else WALLS[int(rng.choice(7, p=[0.34, 0.2, 0.12, 0.12, 0.12, 0.06, 0.04]))]
    paper = drawn or ("rough wall" if wet else "painted wall")
    main = Look("wall", paper, tint(rng, PAINTS))
    accent = Look("wall", "painted wall", tint(rng, PAINTS)) if rng.random() < 0.3 else main
    special, skirting = int(rng.integers(4)), Look("wall", "lacquer", tint(rng, PAINTS[:3] + WOODS[:4]))
    split = float(rng.uniform(1.1, 2.0)) if scene_type == "bathroom" else 0.0
    tiled = Look("wall", ("wall tiles", "long tiles")[int(rng.integers(2))], tint(rng, PAINTS))
    for wall in range(4):
        if split:
            plan.parts.append(plan.build_wall(wall, tiled, (0, split)))
        upper = accent if wall == special else main
        plan.parts.append(plan.build_wall(wall, upper, (split, h), _ENLARGED.get(upper.material, 1.0)))
        if not split:
            plan.parts.append(_skirting(plan, wall, skirting))


def _skirting(plan: Plan, wall: int, look: Look) -> Mesh:
    """A board along the foot of a wall, left out at doors."""
    doors = sorted((float(o[0]), float(o[2])) for o in plan.holes[wall] if o[1] < 0.05)
    cursor, spans = 0.0, []
    for low, high in [*doors, (plan.length(wall), 0.0)]:
        if low - cursor > 0.05:
            spans.append([(0.014, cursor, 0), (0.014, low, 0), (0.012, low, 0.08), (0.012, cursor, 0.08)])
        cursor = high
    x, y, yaw = plan.on_wall(wall, 0.0)
    return quads(spans, look).placed(x, y, 0, yaw)  # no upper face: behind it the sun would find a way in


def door(plan: Plan, look: Look) -> None:
    """A door, open or shut, with free floor before it and a passage behind."""
    rng, width, high = plan.rng, float(plan.rng.uniform(0.78, 0.92)), 2.03
    for wall in rng.permutation(4).tolist():
        room = plan.length(wall) - width - 0.5
        low = float(rng.choice([0.22, 0.22 + room, 0.22 + room * rng.random()]))
        if plan.open(wall, (low, low + width), (0.0, high), 0.1):
            break
    else:
        return
    x, y, yaw = plan.on_wall(wall, low + width / 2)
    ajar = float(rng.choice([0.0, 0.0, -rng.uniform(0.3, 1.4)]))
    plan.put(fixtures.door(rng, look, width, high, ajar), x, y, 0, yaw)
    a, b = np.array(plan.on_wall(wall, low - 0.05)[:2]), np.array(plan.on_wall(wall, low + width + 0.05, 0.8)[:2])
    plan.keep.append(np.concatenate([np.minimum(a, b), np.maximum(a, b)]))
    plan.hang([boxes([(0, 0.012, -0.04, 0.04, -0.06, 0.06)], Look("light switch", "plain", (0.95, 0.94, 0.9)))], 1.15,
              [wall], low + width + 0.25, 0.02)  # fmt: skip
    _passage(plan, x, y, yaw, high + 0.3)


def _passage(plan: Plan, x: float, y: float, yaw: float, high: float) -> None:
    """A short corridor behind a door."""
    rng, back, side = plan.rng, -1.5, 0.7
    walls = Look("wall", "painted wall", tint(rng, PAINTS))
    boards = Look("floor", "boards", tint(rng, WOODS))
    passage = [
        quads([[(back, -side, 0), (0, -side, 0), (0, side, 0), (back, side, 0)]], boards),
        quads(
            [[(back, -side, high), (back, side, high), (0, side, high), (0, -side, high)]],
            Look("ceiling", "painted wall"),
        ),
        quads(
            [
                [(back, side, 0), (back, -side, 0), (back, -side, high), (back, side, high)],
                [(0, side, 0), (back, side, 0), (back, side, high), (0, side, high)],
                [(back, -side, 0), (0, -side, 0), (0, -side, high), (back, -side, high)],
            ],
            walls,
        ),
    ]
    plan.parts.append(join(passage).placed(x, y, 0, yaw))


def windows(plan: Plan, scene_type: str, look: Look) -> list[Window]:
    """One to three windows in one or two walls, with blinds, curtains and radiators."""
    rng, found = plan.rng, []
    small = scene_type == "bathroom"
    low = float(rng.uniform(1.2, 1.4) if small else rng.choice([0.45, 0.85, 0.95]))
    high = min(plan.height - 0.25, low + float(rng.uniform(0.6, 0.8) if small else rng.uniform(1.1, 1.5)))
    for wall in rng.permutation(4).tolist()[: 1 if small or rng.random() < 0.7 else 2]:
        for _ in range(int(rng.integers(1, 3))):
            width = float(rng.uniform(0.5, 0.8) if small else rng.uniform(0.8, 1.7))
            room = plan.length(wall) - width - 0.5
            at = 0.25 + room * float(rng.random())
            if room > 0 and plan.open(wall, (at, at + width), (low, high), 0.12):
                found.append(Window(wall, (at, at + width), (low, high)))
    dressing, drapes = int(rng.choice(4, p=[0.15, 0.3, 0.4, 0.15])), cloth(rng, "curtain", 0.35)
    if rng.random() < 0.35:
        drapes = Look("curtain", drapes.material, tint(rng, PAINTS))
    for opening in found:
        _dress(plan, opening, look, dressing, drapes)
    return found


def _dress(plan: Plan, opening: Window, look: Look, dressing: int, drapes: Look) -> None:
    rng, (low, high) = plan.rng, opening.z
    width = opening.along[1] - opening.along[0]
    x, y, yaw = plan.on_wall(opening.wall, sum(opening.along) / 2)
    plan.put(fixtures.window(rng, width, high - low, look), x, y, low, yaw)
    if dressing in (1, 3):
        drop = float(rng.choice([0.3, 0.6, 1.0])) * (high - low)
        plan.put(fixtures.blinds(rng, width - 0.02, drop), x, y, high - 0.06, yaw)
    if dressing in (2, 3):
        foot = low - 0.12 if rng.random() < 0.4 else 0.06
        plan.put(fixtures.curtains(rng, width, high + 0.12 - foot, drapes), x, y, foot, yaw)
        plan.hung[opening.wall].append(np.array([opening.along[0] - 0.3, 0.9, opening.along[1] + 0.3, high + 0.2]))
    if low > 0.7 and rng.random() < 0.5:
        plan.put(fixtures.radiator(rng, min(width, 1.2)), x, y, 0, yaw)


def outside(plan: Plan, found: list[Window]) -> None:
    """Ground, a house front and trees beyond the windows; an annotator calls all of it window."""
    rng, floor = plan.rng, float(plan.rng.choice([-0.6, -0.6, -3.5, -6.5]))
    for wall in sorted({w.wall for w in found}):
        x, y, yaw = plan.on_wall(wall, plan.length(wall) / 2)
        parts = [
            quads(
                [[(-40, -30, floor), (-0.6, -30, floor), (-0.6, 30, floor), (-40, 30, floor)]], Look("window", "grass")
            )
        ]
        if rng.random() < 0.7:
            far, wide, left = -rng.uniform(9, 18), rng.uniform(8, 16), rng.uniform(-12, 4)
            front = ("plaster windows", "brick windows", "stone windows")[int(rng.integers(3))]
            top = floor + rng.uniform(5, 9)
            face = [(far, left, floor), (far, left + wide, floor), (far, left + wide, top), (far, left, top)]
            parts.append(quads([face], Look("window", front, tint(rng, PAINTS))))
        for _ in range(int(rng.integers(1, 3))):
            tree = scenery.tree(rng, float(rng.uniform(5, 8)), 0.25)
            parts.append(tree.placed(-rng.uniform(5, 9), rng.uniform(-5, 5), floor))
        view = join(parts).all_of("window")
        plan.parts.append(replace(view, color=view.color * np.float32(1.5)).placed(x, y, 0, yaw))


def _rgb(values: np.ndarray) -> Color:
    r, g, b = values.tolist()
    return r, g, b


def light(plan: Plan, found: list[Window], seed: int, office: bool) -> Light:
    """Daylight by the windows, perhaps sun, and lamps under the ceiling; hangs the lamps."""
    rng, lamps = plan.rng, []
    lit = not found or rng.random() < 0.7
    warm = np.array([1.0, 0.97, 0.94] if office else [1.0, 0.90, 0.76])
    places = [0.5] if min(plan.width, plan.depth) < 3.6 or not office else [0.27, 0.73]
    for share in places:
        x, y = (plan.width * share, plan.depth / 2) if plan.width > plan.depth else (plan.width / 2, plan.depth * share)
        plan.put(fixtures.ceiling_lamp(rng, office), x, y, plan.height, np.pi / 2 * (plan.width < plan.depth))
        if lit:
            color = _rgb(rng.uniform(1.1, 2.0) / len(places) * warm)
            lamps.append(Lamp(position=(x, y, plan.height - (0.3 if office else 0.85)), color=color))
    day = float(rng.uniform(0.8, 2.0))
    for opening in found:
        x, y, yaw = plan.on_wall(opening.wall, sum(opening.along) / 2, 0.2)
        area = (opening.along[1] - opening.along[0]) * (opening.z[1] - opening.z[0])
        sky = day * min(area, 2.0) * np.array([0.92, 0.98, 1.06])
        lamps.append(Lamp(position=(x, y, sum(opening.z) / 2), color=_rgb(sky), normal=(np.cos(yaw), np.sin(yaw), 0.0)))
    sun, azimuth = np.zeros(3), 0.0
    if found and rng.random() < 0.45:
        azimuth = found[0].wall * np.pi / 2 + np.pi + rng.uniform(-0.8, 0.8)
        sun = rng.uniform(1.2, 2.4) * np.array([1.0, 0.93, 0.80])
    dim = rng.uniform(0.20, 0.36)
    mean = dim * (0.7 * np.ones(3) + 0.3 * warm) * (1.0 if lit else 0.8)
    white = 1 + rng.uniform(-0.09, 0.09) * np.array([1, 0.15, -1])
    return Light(
        towards_sun=(float(np.cos(azimuth)), float(np.sin(azimuth)), float(rng.uniform(0.35, 0.8))),
        sun=_rgb(sun), ambient=_rgb(mean), horizon=(1.5, 1.6, 1.75), zenith=(0.7, 0.95, 1.4),
        clouds=float(rng.uniform(0.3, 0.8)), haze=1e5, exposure=float(rng.uniform(0.95, 1.55) * (1.0 if lit else 1.15)),
        white=_rgb(white), noise=float(rng.uniform(0.003, 0.008)), seed=seed, lamps=tuple(lamps),
    )  # fmt: skip


def trim(rng: Rng) -> tuple[Look, Look]:
    """How doors and window frames of a room look: white, wooden, or in the paint of the walls."""
    base = tint(rng, PAINTS if rng.random() < 0.6 else WOODS)
    material = "lacquer" if rng.random() < 0.5 else "smooth wood"
    return Look("door", material, base), Look("window frame", "lacquer", tint(rng, PAINTS[:3] + WOODS[:3]))

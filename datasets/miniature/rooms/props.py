"""Small things: what lies on tables, counters, shelves, beds and floors.

Each function makes one thing on z = 0 about the origin, facing +x.
"""

from collections.abc import Callable

import numpy as np

from wsss.datasets.miniature.engine.shapes import Look, Mesh, ball, circle, foliage, join, loft, prism, tube
from wsss.datasets.miniature.engine.textures import Color, Number
from wsss.datasets.miniature.rooms.furniture import cloth, row_of_books, wooden
from wsss.datasets.miniature.rooms.parts import (
    CLOTHS,
    METALS,
    PAINTS,
    WOODS,
    Rng,
    boxes,
    cushion,
    facing,
    folds,
    lying,
    shade,
    tint,
)

BRIGHT: tuple[Color, ...] = (
    (0.75, 0.22, 0.18), (0.20, 0.42, 0.62), (0.86, 0.68, 0.24), (0.28, 0.50, 0.32), (0.92, 0.90, 0.86),
    (0.18, 0.18, 0.20), (0.62, 0.40, 0.56), (0.82, 0.50, 0.26),
)  # fmt: skip


def turned(profile: list[tuple[Number, Number]], look: Look, sides: int = 10) -> Mesh:
    """A body of revolution from (radius, z) upwards."""
    unit = circle(1.0, sides)
    return loft(np.stack([np.c_[r * unit, np.full(sides, z)] for r, z in profile]), look)


def bottle(rng: Rng) -> Mesh:
    """A bottle or can."""
    tall, wide = rng.uniform(0.16, 0.32), rng.uniform(0.025, 0.045)
    look = Look("bottle", "lacquer", tint(rng, BRIGHT))
    return turned([(wide, 0), (wide, 0.6 * tall), (0.35 * wide, 0.8 * tall), (0.35 * wide, tall)], look, 8)


def cup(rng: Rng) -> Mesh:
    """A mug."""
    look = Look("cup", "lacquer", tint(rng, BRIGHT))
    return join([turned([(0.035, 0), (0.042, 0.10)], look, 9), boxes([(-0.01, 0.01, 0.04, 0.07, 0.02, 0.08)], look)])


def bowl(rng: Rng) -> Mesh:
    """A bowl of fruit or an empty one."""
    look = Look("bowl", "lacquer", tint(rng, (*BRIGHT, *PAINTS[:4])))
    parts = [turned([(0.06, 0), (0.14, 0.08), (0.13, 0.08), (0.05, 0.02)], look, 12)]
    if rng.random() < 0.6:
        fruit = Look("bowl", "plain", tint(rng, BRIGHT[:4]))
        parts += [ball((x, y, 0.09), (0.04, 0.04, 0.04), fruit, 6, 4) for x, y in circle(0.06, 4)]
    return join(parts)


def plate(rng: Rng) -> Mesh:
    """A plate."""
    return turned([(0.07, 0), (0.12, 0.018), (0.115, 0.02)], Look("plate", "ceramic", tint(rng, PAINTS)), 14)


def vase(rng: Rng) -> Mesh:
    """A vase."""
    look, tall = Look("vase", "ceramic", tint(rng, (*BRIGHT, *CLOTHS))), rng.uniform(0.18, 0.36)
    belly = rng.uniform(0.06, 0.09)
    return turned([(0.045, 0), (belly, 0.4 * tall), (0.035, 0.8 * tall), (0.05, tall)], look)


def plant(rng: Rng, tall: Number = 0.35) -> Mesh:
    """A pot plant."""
    pot = Look("plant", "lacquer", tint(rng, ((0.66, 0.40, 0.28), *PAINTS[:3], (0.3, 0.3, 0.32))))
    green = Look("plant", "leaves", (rng.uniform(0.7, 1.1), rng.uniform(0.85, 1.1), rng.uniform(0.6, 0.9)))
    wide = 0.32 * tall
    crown = foliage(rng, (0, 0, 0.68 * tall), (wide, wide, 0.34 * tall), 110, 0.16 * tall, green)
    stem = tube((0, 0, 0.2 * tall), (0, 0, 0.6 * tall), 0.02 * tall + 0.005, Look("plant", "bark"), 5)
    return join([turned([(0.13 * tall, 0), (0.18 * tall, 0.28 * tall)], pot, 9), stem, crown])


def lamp(rng: Rng, tall: Number = 0.5) -> Mesh:
    """A table lamp, or a floor lamp if tall, with a shade of cloth."""
    metal = Look("lamp", "metal", tint(rng, METALS)) if rng.random() < 0.5 else wooden(rng, "lamp")
    glow = rng.uniform(1.0, 1.45)
    r, g, b = tint(rng, CLOTHS[:2] + PAINTS[:2])
    wide = 0.16 if tall < 1 else 0.24
    high = 0.22 if tall < 1 else 0.3
    parts = [turned([(0.5 * wide, 0), (0.5 * wide, 0.02), (0.02, 0.04), (0.02, tall - high + 0.03)], metal, 8)]
    shape = prism(
        circle(wide, 12), tall - high, tall, Look("lamp", "cloth", (r * glow, g * glow, b * glow)), 0.62, False
    )
    return join([*parts, shape])


def books(rng: Rng) -> Mesh:
    """A stack of lying books."""
    z, parts = 0.0, []
    for _ in range(int(rng.integers(1, 6))):
        thick, a, b = rng.uniform(0.015, 0.05), rng.uniform(0.08, 0.11), rng.uniform(0.10, 0.15)
        cover = Look("book", "plain", tint(rng, (*BRIGHT, *CLOTHS)))
        parts.append(boxes([(-a, a, -b, b, z, z + thick)], cover).placed(0, 0, 0, rng.uniform(-0.4, 0.4)))
        z += thick
    return join(parts)


def paper(rng: Rng) -> Mesh:
    """Some sheets."""
    look = Look("paper", "page", tint(rng, PAINTS[:4]))
    sheets = [lying((-0.105, 0.105), (-0.15, 0.15), 0.004 + 0.003 * k, look) for k in range(int(rng.integers(1, 4)))]
    return join([m.placed(rng.normal(0, 0.05), rng.normal(0, 0.06), 0, rng.normal(0, 0.4)) for m in sheets])


def box(rng: Rng, size: Number = 0.3) -> Mesh:
    """A carton."""
    x, y, z = size * rng.uniform(0.5, 1.0, 3)
    look = Look("box", "cardboard", tint(rng, ((1, 1, 1), (0.8, 0.78, 0.76), (1.1, 1.1, 1.12))))
    if rng.random() < 0.3:
        look = Look("box", "lacquer", tint(rng, (*BRIGHT, *PAINTS)))
    tape = boxes([(-x / 2, x / 2, -0.025, 0.025, z, z + 0.003)], shade(look, 1.15))
    return join([boxes([(-x / 2, x / 2, -y / 2, y / 2, 0, z)], look), tape])


def bag(rng: Rng) -> Mesh:
    """A bag or rucksack."""
    look = Look(
        "bag" if rng.random() < 0.6 else "backpack",
        ("cloth", "leather")[int(rng.integers(2))],
        tint(rng, CLOTHS + BRIGHT),
    )
    tall = rng.uniform(0.3, 0.45)
    straps = [tube((0, s * 0.1, 0.9 * tall), (0, s * 0.03, 1.25 * tall), 0.012, look, 4) for s in (-1, 1)]
    return join([cushion((0, 0, tall / 2), (0.2, 0.36, tall), look), *straps])


def clothes(rng: Rng) -> Mesh:
    """Crumpled clothes."""
    heaps = []
    for k in range(int(rng.integers(2, 4))):
        middle, size = (*rng.normal(0, 0.09, 2), 0.04 + 0.03 * k), (*rng.uniform(0.2, 0.42, 2), 0.1)
        heaps.append(cushion(middle, size, cloth(rng, "clothes", 0.25)).placed(0, 0, 0, rng.uniform(0, 3)))
    return join(heaps)


def coat(rng: Rng) -> Mesh:
    """Clothes on a hook; the origin is at their lower edge."""
    tall, look = rng.uniform(0.6, 1.0), cloth(rng, "clothes", 0.2)
    return join([folds(0.32, tall, 0.05, 3, look, 1.15), cushion((0.08, 0, tall - 0.05), (0.16, 0.4, 0.14), look)])


def towels(rng: Rng) -> Mesh:
    """Folded towels."""
    looks = [Look("towel", "terry", tint(rng, (*CLOTHS, *PAINTS[:4]))) for _ in range(int(rng.integers(1, 4)))]
    return join([cushion((0, 0, 0.04 + 0.075 * k), (0.26, 0.36, 0.08), look) for k, look in enumerate(looks)])


def monitor(rng: Rng) -> Mesh:
    """A computer screen on its foot, facing +x."""
    w, case = rng.uniform(0.24, 0.3), Look("monitor", "plain", tint(rng, METALS[1:3]))
    face = Look("monitor", "lit screen" if rng.random() < 0.5 else "dark screen")
    body = [
        (-0.03, 0, -w, w, 0.1, 0.1 + 1.25 * w),
        (-0.04, -0.01, -0.04, 0.04, 0, 0.2),
        (-0.1, 0.08, -0.12, 0.12, 0, 0.015),
    ]
    return join([boxes(body, case), facing((-w + 0.015, w - 0.015), (0.115, 0.085 + 1.25 * w), 0.003, face)])


def keyboard(rng: Rng) -> Mesh:
    """A keyboard, its front towards +x."""
    look = tint(rng, METALS[1:])
    return join([boxes([(-0.07, 0.07, -0.21, 0.21, 0, 0.02)], Look("keyboard", "plain", look)),
                 lying((-0.065, 0.065), (-0.2, 0.2), 0.022, Look("keyboard", "keys", look))])  # fmt: skip


def laptop(rng: Rng) -> Mesh:
    """An open laptop."""
    case = Look("laptop", "plain", tint(rng, METALS[:3]))
    back = facing((-0.16, 0.16), (0.02, 0.23), -0.11, Look("laptop", "lit screen"))
    base = boxes([(-0.1, 0.12, -0.17, 0.17, 0, 0.018), (-0.13, -0.112, -0.17, 0.17, 0.015, 0.24)], case)
    return join([base, back, lying((-0.08, 0.04), (-0.15, 0.15), 0.02, Look("laptop", "keys", (0.25, 0.25, 0.26)))])


def telephone(rng: Rng) -> Mesh:
    """A desk telephone."""
    look = Look("telephone", "plain", tint(rng, METALS[2:]))
    return join(
        [
            boxes([(-0.09, 0.09, -0.08, 0.08, 0, 0.05)], look),
            boxes([(-0.09, 0.09, -0.075, -0.03, 0.05, 0.08)], shade(look, 0.8)),
        ]
    )


def appliance(rng: Rng) -> Mesh:
    """A microwave oven or a printer."""
    kind = "microwave" if rng.random() < 0.5 else "printer"
    look = Look(kind, "lacquer", tint(rng, (METALS[0], METALS[2], PAINTS[0])))
    window = facing((-0.2, 0.1), (0.05, 0.23), 0.182, Look(kind, "dark screen"))
    return join([boxes([(-0.18, 0.18, -0.24, 0.24, 0, 0.28)], look), window])


def kettle(rng: Rng) -> Mesh:
    """A kettle."""
    look = Look("kettle", "metal", tint(rng, (*METALS, *BRIGHT[:2])))
    handle = boxes([(-0.13, -0.10, -0.015, 0.015, 0.03, 0.2), (-0.13, -0.03, -0.015, 0.015, 0.18, 0.21)], look)
    return join([turned([(0.085, 0), (0.09, 0.1), (0.05, 0.2)], look), handle])


def toy(rng: Rng) -> Mesh:
    """A stuffed animal."""
    look = Look("toy", "cloth", tint(rng, CLOTHS + BRIGHT))
    size = rng.uniform(0.1, 0.16)
    body = [ball((0, 0, 0.9 * size), (0.8 * size, 0.8 * size, 0.9 * size), look, 8, 5),
            ball((0.1 * size, 0, 2.2 * size), (0.65 * size,) * 3, look, 8, 5)]  # fmt: skip
    ears = [ball((0, s * 0.5 * size, 2.8 * size), (0.2 * size,) * 3, look, 5, 4) for s in (-1, 1)]
    feet = [ball((0.9 * size, s * 0.5 * size, 0.3 * size), (0.3 * size,) * 3, look, 5, 4) for s in (-1, 1)]
    return join([*body, *ears, *feet])


def bin(rng: Rng) -> Mesh:
    """A waste basket, or a laundry basket."""
    if rng.random() < 0.7:
        look = Look("garbage bin", "lacquer", tint(rng, (*METALS, *BRIGHT, *PAINTS[:4])))
        return turned([(0.11, 0), (0.15, rng.uniform(0.28, 0.4))], look, 10)
    return turned([(0.2, 0), (0.26, 0.5)], Look("laundry basket", "weave", tint(rng, WOODS)), 10)


def candle(rng: Rng) -> Mesh:
    """A thick candle."""
    return turned(
        [(0.035, 0), (0.035, rng.uniform(0.06, 0.16))], Look("candle", "plain", tint(rng, PAINTS + BRIGHT)), 8
    )


def shoes(rng: Rng) -> Mesh:
    """A pair of shoes."""
    look = Look("shoe", "leather", tint(rng, CLOTHS + BRIGHT))
    shape = ((-0.13, 0.035, 0.09), (-0.03, 0.04, 0.1), (0.14, 0.04, 0.04))
    shoe = loft([[(x, -w, 0), (x, w, 0), (x, w, z), (x, -w, z)] for x, w, z in shape], look)
    return join([shoe.placed(0, side) for side in (-0.06, 0.06)])


def sports_ball(rng: Rng) -> Mesh:
    """A ball."""
    return ball((0, 0, 0.11), (0.11, 0.11, 0.11), Look("ball", "leather", tint(rng, BRIGHT)), 10, 6)


def fan(rng: Rng) -> Mesh:
    """A standing fan."""
    look = Look("fan", "plain", tint(rng, METALS))
    ring = np.c_[np.full(12, 0.05), circle(0.2, 12, (0, 1.05))]
    guard = loft(np.stack([ring, ring - [0.1, 0, 0]]), shade(look, 0.8))
    return join([tube((0, 0, 0), (0, 0, 1.05), 0.02, look, 5), prism(circle(0.18, 10), 0, 0.03, look), guard])


def guitar(rng: Rng) -> Mesh:
    """A guitar that leans back."""
    look = Look("guitar", "smooth wood", tint(rng, WOODS[:4]))
    body = [ball((-0.02, 0, z), (0.05, r, r), look, 10, 6) for z, r in ((0.2, 0.19), (0.45, 0.14))]
    return join([*body, boxes([(-0.06, -0.03, -0.03, 0.03, 0.5, 1.0)], shade(look, 0.5))])


def toilet_paper(rng: Rng) -> Mesh:
    """A roll."""
    return tube((0, -0.05, 0.055), (0, 0.05, 0.055), 0.055, Look("toilet paper", "plain", (0.97, 0.97, 0.95)), 10)


def standing_books(rng: Rng) -> Mesh:
    """A row of standing books."""
    wide = rng.uniform(0.15, 0.4)
    return row_of_books(rng, wide, rng.uniform(0.2, 0.28)).placed(-0.1, -wide / 2)


Maker = Callable[[Rng], Mesh]

"""How kitchens, bathrooms, offices, studies and classrooms are furnished."""

import numpy as np

from wsss.datasets.miniature.engine.shapes import Look, Mesh, join
from wsss.datasets.miniature.rooms import fixtures, furniture, props
from wsss.datasets.miniature.rooms.clutter import (
    Surface,
    carpet,
    lying_about,
    pictures,
    shelf,
    somebody,
    study_corner,
    top_of,
)
from wsss.datasets.miniature.rooms.floorplan import Place, Plan, extent
from wsss.datasets.miniature.rooms.furniture import carcase, chair, shelves, sofa, table
from wsss.datasets.miniature.rooms.parts import PAINTS, WOODS, boxes, facing, legs, tint

COOKING = (
    props.bottle, props.cup, props.bowl, props.plate, props.kettle, props.box, props.bottle, props.paper, props.plant,
    props.towels, props.vase, props.appliance,
)  # fmt: skip
WASHING = (props.bottle, props.cup, props.towels, props.candle, props.bottle, props.toilet_paper)


def kitchen(plan: Plan) -> None:
    """A run of base cabinets with counter, sink and stove, cupboards above, a refrigerator, perhaps a table."""
    rng = plan.rng
    colors = PAINTS if rng.random() < 0.5 else WOODS
    look = Look("cabinet", "wood" if colors is WOODS else "lacquer", tint(rng, colors))
    stone = Look("counter", ("granite", "lacquer", "wood")[int(rng.integers(3))], tint(rng, (*PAINTS, *WOODS)))
    plan.against(fixtures.refrigerator(rng), front=0.6, corner=True)
    for length in (rng.uniform(2.2, 3.2), rng.uniform(1.4, 2.2)):
        things, spots = fixtures.kitchen_run(rng, length, look, stone)
        run = plan.against(things, front=0.8, corner=True)
        if run is not None:
            _above(plan, run, length, look, spots)
            surface = Surface(plan, run, 0.9, (0.05, 0.6), (-length / 2, length / 2))
            for name, y in spots.items():
                half = 0.34 if name == "sink" else 0.32
                surface.taken.append(np.array([0, y - half, 0.6, y + half]))
            surface.scatter(COOKING, int(rng.integers(7, 13)))
            if rng.random() < 0.5:
                plan.near(fixtures.towel(rng), run, 0.61, spots["sink"] + 0.1, 0.25)
    if min(plan.width, plan.depth) > 3.0 and rng.random() < 0.75:
        high, long = 0.75, float(rng.uniform(0.9, 1.3))
        place = plan.stand(table(rng, "table", long, 0.8, high), margin=0.25)
        if place is not None:
            top_of(plan, place, high, 0.35).scatter(COOKING, 4)
            for k in range(int(rng.integers(2, 5))):
                side = (-1, 1)[k % 2]
                at = place.at(side * 0.5, (k // 2 - 0.5) * 0.45 if k > 1 or rng.random() < 0.5 else 0.0)
                plan.near(
                    chair(rng), Place(*at, place.yaw, place.box), 0, 0, 0, np.pi * (side > 0) + rng.normal(0, 0.15)
                )
                plan.feet.append(np.array([at[0] - 0.25, at[1] - 0.25, at[0] + 0.25, at[1] + 0.25]))
    if rng.random() < 0.4:
        plan.against(shelves(rng, "shelf", 0.4, 1.7, 0.2), front=0.4)
    if rng.random() < 0.5:
        mat(plan)
    plan.against(carcase(rng, "cabinet", rng.uniform(0.35, 0.6), 0.5, rng.uniform(0.9, 2.1), 2, 2))
    pictures(plan, 2, 1.4)
    lying_about(plan, (props.bin, props.box, props.bag, props.bottle), 4)
    somebody(plan, 0.23)


def mat(plan: Plan) -> None:
    """A mat somewhere on the free floor."""
    x, y = (float(v * plan.rng.uniform(0.3, 0.7)) for v in (plan.width, plan.depth))
    carpet(plan, "floor mat", (x - 0.35, x + 0.35), (y - 0.55, y + 0.55))


def _above(plan: Plan, run: Place, length: float, look: Look, spots: dict[str, float]) -> None:
    """Cupboards over a counter where the wall is free, else nothing."""
    rng, stove = plan.rng, spots.get("stove")
    gap = None if stove is None or rng.random() < 0.2 else (stove - 0.3, stove + 0.3)
    row = fixtures.wall_cabinets(rng, length, look, gap)
    wall, along = plan.behind(run)
    if not row or not plan.hang(row, 1.45, [wall], along, -0.02):
        if rng.random() < 0.5:
            return
        shelf(plan, run, 0.4 * length, 1.9)


def bathroom(plan: Plan) -> None:
    """Tub with curtain, toilet, vanity with mirror, towels and mats."""
    rng = plan.rng
    tub = plan.against(fixtures.bathtub(rng, float(rng.uniform(1.5, 1.75))), front=0.5, corner=True)
    if tub is not None:
        half, tall = float(tub.box[1, 1]), min(2.05, plan.height - 0.2)
        if rng.random() < 0.85:
            wide = half * rng.uniform(0.5, 1.5)
            plan.near(
                fixtures.shower_curtain(rng, wide, tall - 0.25),
                tub,
                0.70,
                rng.choice([-1, 1]) * (half - wide / 2),
                0.25,
            )
            rod = boxes([(0.70, 0.725, -half, half, tall, tall + 0.025)], Look("shower curtain", "metal"))
            plan.near([rod], tub, 0, 0)
    seat = plan.against(fixtures.toilet(rng), front=0.5, gap=0.02)
    if seat is not None:
        if rng.random() < 0.6:
            plan.near(
                [(props.towels, props.toilet_paper, props.plant, props.box)[int(rng.integers(4))](rng)],
                seat,
                0.1,
                0,
                0.79,
            )
        plan.beside([props.bin(rng)], seat, 0.2, 0.45)
    width = float(rng.uniform(0.6, 1.3))
    basin = plan.against(fixtures.washbasin(rng, width), front=0.6)
    if basin is not None:
        surface = Surface(plan, basin, 0.84, (0.02, 0.5), (-width / 2, width / 2))
        surface.taken.append(np.array([0.1, -0.25, 0.5, 0.25]))
        surface.scatter(WASHING, int(rng.integers(2, 6)))
        wall, along = plan.behind(basin)
        plan.hang(fixtures.mirror(rng, width * rng.uniform(0.7, 1.0), 0.85), 1.05, [wall], along)
        if rng.random() < 0.6:
            plan.near(fixtures.towel(rng), basin, 0.53, rng.uniform(-0.1, 0.1), 0.2)
    for _ in range(int(rng.integers(1, 3))):
        plan.hang(fixtures.towel(rng), 0.85)
    plan.hang([join([boxes([(0, 0.18, -0.3, 0.3, 0, 0.6)], furniture.wooden(rng, "cabinet"))])], 1.3)
    if rng.random() < 0.6:
        plan.against(carcase(rng, "cabinet", 0.25, 0.35, rng.uniform(0.8, 1.7), 3, 1), front=0.4)
    if rng.random() < 0.8:
        mat(plan)
    pictures(plan, 2, 1.4)
    lying_about(plan, (props.clothes, props.towels, props.bin, props.bottle, props.bin), 3)


def office(plan: Plan) -> None:
    """Several desks, filing cabinets, bookshelves, a whiteboard."""
    rng = plan.rng
    if rng.random() < 0.75:
        plan.hang(fixtures.whiteboard(rng, rng.uniform(1.0, 1.9), 1.0), 0.95)
    for _ in range(int(rng.integers(1, 4))):
        study_corner(plan)
    for _ in range(int(rng.integers(1, 3))):
        high = float(rng.choice([0.72, 1.05, 1.35]))
        files = plan.against(carcase(rng, "cabinet", rng.uniform(0.23, 0.45), 0.5, high, max(2, int(high / 0.34)), 1))
        if files is not None:
            top_of(plan, files, high).scatter((props.paper, props.books, props.box, props.plant, props.appliance), 3)
    for _ in range(int(rng.integers(1, 3))):
        plan.against(shelves(rng, "bookshelf", rng.uniform(0.4, 0.55), rng.uniform(1.2, 2.1), 0.8), front=0.5)
    if rng.random() < 0.6:
        high = 0.74
        place = plan.stand(table(rng, "table", 1.2, 0.7, high), margin=0.3)
        if place is not None:
            top_of(plan, place, high, 0.35).scatter((props.paper, props.laptop, props.cup, props.books, props.box), 5)
            for side in (-1, 1):
                plan.near(furniture.office_chair(rng), place, side * 0.6, rng.normal(0, 0.1), 0, np.pi * (side > 0))
    if rng.random() < 0.3:
        plan.against(sofa(rng), front=0.6)
    pictures(plan, 3)
    papers_on_walls(plan, 4)
    lying_about(plan, (props.box, props.bin, props.bag, props.box, props.plant, props.fan, props.books), 5)
    somebody(plan, 0.28)


def papers_on_walls(plan: Plan, most: int) -> None:
    """Sheets pinned to the walls."""
    for _ in range(int(plan.rng.integers(0, most))):
        look = Look("paper", "page", tint(plan.rng, PAINTS))
        plan.hang([facing((-0.15, 0.15), (0, 0.4), 0.0, look)], float(plan.rng.uniform(1.1, 1.5)), margin=0.02)


def study(plan: Plan) -> None:
    """A desk, walls of books, an armchair, sometimes a piano."""
    rng = plan.rng
    if rng.random() < 0.35:
        plan.against([_piano(plan)], front=0.6)
    study_corner(plan)
    for _ in range(int(rng.integers(2, 5))):
        plan.against(shelves(rng, "bookshelf", rng.uniform(0.4, 0.65), rng.uniform(1.6, 2.2), 0.85), front=0.5)
    armchair = plan.against(sofa(rng, "armchair"), front=0.5, gap=0.1)
    if armchair is not None:
        plan.beside([props.lamp(rng, 1.6)], armchair, 0.1, float(armchair.box[1, 1]) + 0.3)
    if rng.random() < 0.7:
        x, y = plan.width / 2, plan.depth / 2
        carpet(plan, "rug", (x - 0.8, x + 0.8), (y - 1.1, y + 1.1))
    if rng.random() < 0.5:
        high = float(rng.uniform(0.8, 1.1))
        chest = plan.against(carcase(rng, "cabinet", rng.uniform(0.35, 0.6), 0.42, high, 3, 2))
        if chest is not None:
            top_of(plan, chest, high).scatter((props.books, props.vase, props.lamp, props.paper, props.toy), 4)
    pictures(plan, 4)
    lying_about(plan, (props.box, props.bag, props.books, props.guitar, props.bin, props.plant, props.paper), 5)
    somebody(plan, 0.18)


def _piano(plan: Plan) -> Mesh:
    look = Look("piano", "lacquer", tint(plan.rng, WOODS[3:]))
    white = Look("piano", "keys", (1.05, 1.04, 1.0))
    body = boxes([(0, 0.35, -0.72, 0.72, 0, 1.2), (0.35, 0.6, -0.72, 0.72, 0.6, 0.7)], look)
    return join([body, legs((0.3, 0.6), (-0.72, 0.72), 0.6, 0.06, look),
                           boxes([(0.4, 0.58, -0.66, 0.66, 0.7, 0.715)], white)])  # fmt: skip


def classroom(plan: Plan) -> None:
    """Rows of tables with chairs before a whiteboard."""
    rng = plan.rng
    plan.hang(fixtures.whiteboard(rng, rng.uniform(1.6, 2.4), 1.1), 0.95)
    high, made = 0.73, table(rng, "table", 1.1, 0.5, 0.73)
    seat = chair(rng) if rng.random() < 0.6 else furniture.office_chair(rng)
    for row in range(2):
        for column in range(2):
            x = plan.width * (0.34 + 0.36 * row) + rng.normal(0, 0.05)
            y = plan.depth * (0.28 + 0.44 * column) + rng.normal(0, 0.05)
            place = plan.stand(made, ((x, x), (y, y)), 0.0)
            if place is not None:
                top_of(plan, place, high).scatter((props.paper, props.books, props.laptop, props.cup, props.bag), 3)
                for side in (-0.27, 0.27):
                    there = Place(*place.at(-0.42, side), place.yaw + rng.normal(0, 0.2), extent(seat))
                    plan.put(seat, there.x, there.y, 0, there.yaw)
                    plan.feet.append(there.area())
    for _ in range(2):
        board = plan.against(
            shelves(rng, "shelf" if rng.random() < 0.5 else "bookshelf", 0.45, rng.uniform(0.9, 1.8), 0.5), front=0.3
        )
        if board is None:
            break
    cupboard = float(rng.uniform(0.8, 1.1))
    place = plan.against(carcase(rng, "cabinet", 0.5, 0.45, cupboard, 1, 2), front=0.3)
    if place is not None:
        top_of(plan, place, cupboard).scatter((props.box, props.books, props.plant, props.paper, props.appliance), 4)
    pictures(plan, 3)
    papers_on_walls(plan, 7)
    lying_about(plan, (props.bag, props.bag, props.bin, props.box), 4)
    somebody(plan, 0.40)

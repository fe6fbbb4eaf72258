"""How bedrooms, living rooms and dining rooms are furnished."""

from collections.abc import Sequence

import numpy as np

from wsss.datasets.miniature.engine.shapes import Mesh
from wsss.datasets.miniature.engine.textures import Number
from wsss.datasets.miniature.rooms import fixtures, furniture, props
from wsss.datasets.miniature.rooms.clutter import (
    carpet_before,
    lying_about,
    pictures,
    somebody,
    study_corner,
    top_of,
)
from wsss.datasets.miniature.rooms.floorplan import Place, Plan, extent
from wsss.datasets.miniature.rooms.furniture import carcase, chair, shelves, sofa, table

LIVING = (
    props.books,
    props.vase,
    props.candle,
    props.cup,
    props.bowl,
    props.plant,
    props.paper,
    props.bottle,
    props.toy,
)
BED = (props.books, props.cup, props.bottle, props.candle, props.telephone, props.paper)


def bedroom(plan: Plan) -> None:
    """Bed, night stands with lamps, dresser with mirror, wardrobe, perhaps a desk."""
    rng = plan.rng
    bed = plan.against(furniture.bed(rng), front=0.45)
    if bed is not None:
        _night_stands(plan, bed)
        reach = float(bed.box[1, 1])
        if rng.random() < 0.6:
            carpet_before(plan, bed, (0.7, 2.3), reach + 0.6)
        if rng.random() < 0.4:
            plan.near([props.clothes(rng)], bed, rng.uniform(0.9, 1.7), rng.uniform(-0.3, 0.3), 0.6)
        if rng.random() < 0.3:
            plan.near(
                [(props.toy, props.bag, props.laptop)[int(rng.integers(3))](rng)], bed, rng.uniform(0.9, 1.5), 0.2, 0.6
            )
    if rng.random() < 0.9:
        high = float(rng.uniform(0.75, 1.0))
        dresser = plan.against(carcase(rng, "dresser", rng.uniform(0.45, 0.75), 0.48, high, int(rng.integers(3, 5)), 2))
        if dresser is not None:
            surface = top_of(plan, dresser, high)
            if rng.random() < 0.5:
                wide = rng.uniform(0.5, 0.9)
                plan.near(fixtures.mirror(rng, wide, 0.8), dresser, 0.02, 0, high + 0.02)
            elif rng.random() < 0.5:
                surface.add(fixtures.television(rng, 0.75)[0], at=(0.12, 0.0))
            surface.scatter((*LIVING, props.lamp, props.box, props.clothes), int(rng.integers(2, 5)))
    for _ in range(1 + int(rng.random() < 0.4)):
        plan.against(
            carcase(rng, "wardrobe", rng.uniform(0.45, 0.9), 0.58, rng.uniform(1.9, 2.2), 1, int(rng.integers(2, 4)))
        )
    if rng.random() < 0.55:
        study_corner(plan)
    if rng.random() < 0.4:
        plan.against(shelves(rng, "bookshelf", 0.42, rng.uniform(1.0, 2.0), 0.6), front=0.4)
    if rng.random() < 0.4:
        plan.against(sofa(rng, "armchair"))
    for _ in range(int(rng.integers(0, 3))):
        plan.hang([props.coat(rng)], 0.9)
    pictures(plan, 3)
    lying_about(
        plan, (props.clothes, props.clothes, props.shoes, props.bag, props.bin, props.box, props.toy, props.guitar), 4
    )
    somebody(plan, 0.16)


def _night_stands(plan: Plan, bed: Place) -> None:
    rng, high = plan.rng, float(plan.rng.uniform(0.45, 0.62))
    for side in (-1, 1):
        stand = carcase(rng, "night stand", 0.22, 0.4, high, 2, 1)
        if plan.beside(stand, bed, 0.02, side * (float(bed.box[1, 1]) + 0.3)):
            where = Place(*bed.at(0.02, side * (float(bed.box[1, 1]) + 0.3)), bed.yaw, extent(stand))
            surface = top_of(plan, where, high)
            if rng.random() < 0.8:
                surface.add(props.lamp(rng, float(rng.uniform(0.4, 0.55))), at=(0.18, 0.06))
            surface.scatter(BED, 2)


def living_room(plan: Plan) -> None:
    """Sofa and coffee table on a rug, television, bookshelves, armchairs, lamps, plants."""
    rng = plan.rng
    couch = plan.against(sofa(rng), front=1.3)
    if couch is not None:
        low = float(rng.uniform(0.36, 0.46))
        coffee = table(rng, "coffee table", rng.uniform(0.7, 1.2), rng.uniform(0.5, 0.65), low)
        there = Place(*couch.at(1.55, 0), couch.yaw, extent(coffee))
        if rng.random() < 0.7:
            carpet_before(plan, couch, (0.6, 2.4), 1.2)
        plan.near(coffee, couch, 1.55, 0)
        plan.feet.append(there.area())
        top_of(plan, there, low, 0.08).scatter((*LIVING, props.paper), int(rng.integers(2, 6)))
        side = (-1 if rng.random() < 0.5 else 1) * (float(couch.box[1, 1]) + 0.32)
        corner = table(rng, "side table", 0.45, 0.45, 0.55)
        if plan.beside(corner, couch, 0.35, side):
            plan.near([props.lamp(rng)], couch, 0.3, side, 0.55)
            plan.near([props.books(rng)], couch, 0.48, side, 0.55)
    if rng.random() < 0.75:
        stand = plan.against(carcase(rng, "tv stand", rng.uniform(0.5, 0.8), 0.42, 0.5, 1, 3), front=0.6)
        if stand is not None:
            surface = top_of(plan, stand, 0.5)
            surface.add(fixtures.television(rng, float(rng.uniform(0.8, 1.15)))[0], at=(0.15, 0.0))
            surface.scatter(LIVING, 2)
    for _ in range(int(rng.integers(0, 3))):
        plan.against(shelves(rng, "bookshelf", rng.uniform(0.35, 0.6), rng.uniform(1.2, 2.1), 0.6), front=0.4)
    for _ in range(int(rng.integers(0, 3))):
        plan.against(sofa(rng, "armchair"), front=0.6, gap=0.15)
    if rng.random() < 0.7:
        high = float(rng.uniform(0.75, 1.3))
        board = plan.against(carcase(rng, "cabinet", rng.uniform(0.5, 0.8), 0.42, high, 1, 3))
        if board is not None:
            top_of(plan, board, high).scatter((*LIVING, props.lamp), 4)
    plan.against([props.lamp(rng, float(rng.uniform(1.4, 1.7)))], front=0.0, corner=True)
    if rng.random() < 0.5:
        plan.against([props.plant(rng, float(rng.uniform(0.8, 1.5)))], front=0.0, corner=True)
    pictures(plan, 4)
    lying_about(
        plan, (props.bag, props.toy, props.box, props.books, props.shoes, props.sports_ball, props.guitar, props.fan), 3
    )
    if rng.random() < 0.4:
        plan.stand(fixtures.cushion_seat(rng))
    somebody(plan, 0.20)


def dining_room(plan: Plan) -> None:
    """A table with chairs in the middle, a sideboard, a cabinet."""
    rng = plan.rng
    high, long, deep = 0.75, float(rng.uniform(1.2, 1.8)), float(rng.uniform(0.8, 0.95))
    x, y = plan.width / 2 + rng.uniform(-0.3, 0.3), plan.depth / 2 + rng.uniform(-0.3, 0.3)
    yaw = np.pi / 2 * (plan.width > plan.depth)
    centre = plan.stand(table(rng, "dining table", long, deep, high), ((x, x), (y, y)), yaw)
    if centre is not None:
        laid = (props.plate, props.cup, props.bowl, props.vase, props.bottle, props.candle)
        top_of(plan, centre, high, 0.1).scatter(laid, int(rng.integers(3, 9)))
        seat = chair(rng)
        for k in range(6):
            side = (-1, 1)[k % 2]
            if k < 4:
                _tuck(plan, seat, centre, (side * (deep / 2 + 0.12), (k // 2 - 0.5) * long * 0.5), np.pi * (side > 0))
            else:
                _tuck(plan, seat, centre, (0.0, side * (long / 2 + 0.12)), -side * np.pi / 2)
    for kind, tall, rows in (
        ("cabinet", float(rng.uniform(0.8, 1.0)), 1),
        ("cabinet", float(rng.uniform(1.7, 2.0)), 2),
    ):
        if rng.random() < 0.85:
            board = plan.against(
                carcase(rng, kind, rng.uniform(0.45, 0.8), 0.42, tall, rows, int(rng.integers(2, 4))), front=0.4
            )
            if board is not None and tall < 1.2:
                top_of(plan, board, tall).scatter((*LIVING, props.lamp, props.plate), int(rng.integers(2, 6)))
    if rng.random() < 0.5:
        plan.against(shelves(rng, "bookshelf", 0.4, 1.9, 0.4), front=0.4)
    if rng.random() < 0.5:
        plan.hang(fixtures.mirror(rng, 0.6, 0.8), 1.1)
    pictures(plan, 4)
    lying_about(plan, (props.plant, props.box, props.bag, props.bin), 2)
    somebody(plan, 0.23)


def _tuck(plan: Plan, seat: Sequence[Mesh], centre: Place, at: tuple[Number, Number], turn: Number) -> None:
    """A chair whose seat is under the table, unless it would stand in a wall."""
    place = Place(*centre.at(*at), centre.yaw + turn, extent(seat))
    x0, y0, x1, y1 = place.area()
    if min(x0, y0) > 0.02 and x1 < plan.width - 0.02 and y1 < plan.depth - 0.02:
        plan.near(seat, centre, *at, 0, turn)
        plan.feet.append(place.area())

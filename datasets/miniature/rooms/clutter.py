"""What lies about in rooms: things on tables, shelves and floors, pictures on walls, a desk with its chair."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from wsss.datasets.miniature.engine.shapes import Look, Mesh
from wsss.datasets.miniature.engine.textures import Interval, Number
from wsss.datasets.miniature.rooms import fixtures, furniture, props
from wsss.datasets.miniature.rooms.floorplan import Place, Plan, Rng, extent
from wsss.datasets.miniature.rooms.parts import lying
from wsss.datasets.miniature.streets import people


@dataclass
class Surface:
    """A level surface of something that stands, in its axes."""

    plan: Plan
    place: Place
    z: float
    x: Interval
    y: Interval
    taken: list[np.ndarray] = field(default_factory=list)

    def add(self, thing: Mesh, turn: Number = 0.0, at: tuple[Number, Number] | None = None) -> bool:
        """Put something there, at a free place unless told; False if there is none."""
        rng = self.plan.rng
        low, high = extent([thing])[:, :2]
        reach = np.maximum(np.abs(low), np.abs(high)) if turn == 0 else np.full(2, np.hypot(*np.maximum(-low, high)))
        for _ in range(6 if at is None else 1):
            x, y = at or (self._draw(rng, self.x, reach[0]), self._draw(rng, self.y, reach[1]))
            area = np.array([x - reach[0], y - reach[1], x + reach[0], y + reach[1]])
            if at is None and any((area[:2] < o[2:]).all() and (o[:2] < area[2:]).all() for o in self.taken):
                continue
            self.taken.append(area)
            self.plan.near([thing], self.place, x, y, self.z, turn)
            return True
        return False

    @staticmethod
    def _draw(rng: Rng, bounds: Interval, reach: float) -> float:
        low, high = bounds[0] + reach, bounds[1] - reach
        return float(rng.uniform(low, high)) if high > low else float(sum(bounds)) / 2

    def scatter(self, makers: Sequence[props.Maker], count: int) -> None:
        """Some things at random, turned a little."""
        for _ in range(count):
            maker = makers[int(self.plan.rng.integers(len(makers)))]
            self.add(maker(self.plan.rng), float(self.plan.rng.normal(0, 0.35)))


def top_of(plan: Plan, place: Place, z: float, inset: Number = 0.03) -> Surface:
    """The top of a piece of furniture."""
    (x0, y0, _), (x1, y1, _) = place.box
    return Surface(plan, place, z, (x0 + inset, x1 - inset), (y0 + inset, y1 - inset))


def pictures(plan: Plan, most: int, low: Number = 1.25) -> None:
    """Pictures on the walls, and a clock now and then."""
    if plan.rng.random() < 0.3:
        plan.hang(fixtures.clock(plan.rng), 1.9)
    for _ in range(int(plan.rng.integers(3, most + 4))):
        width, height = plan.rng.uniform(0.35, 1.25), plan.rng.uniform(0.35, 0.95)
        height = min(height, plan.height - low - 0.45)
        plan.hang(fixtures.picture(plan.rng, width, height, plan.rng.random() < 0.8), low + plan.rng.uniform(0, 0.35))


def carpet(plan: Plan, kind: str, x: Interval, y: Interval) -> None:
    """A rug or mat, which nothing minds standing on, as far as the room reaches."""
    (x0, x1), (y0, y1) = (np.clip(sorted(v), 0.1, end - 0.1) for v, end in ((x, plan.width), (y, plan.depth)))
    plan.put([lying((x0, x1), (y0, y1), 0.008, Look(kind, f"rug {int(plan.rng.integers(4))}"))], 0, 0)


def carpet_before(plan: Plan, place: Place, x: Interval, half: float) -> None:
    """A rug in the axes of a piece of furniture, from x[0] to x[1] in front of it."""
    (x0, y0), (x1, y1) = place.at(x[0], -half), place.at(x[1], half)
    carpet(plan, "rug", (x0, x1), (y0, y1))


def lying_about(plan: Plan, makers: Sequence[props.Maker], count: int) -> None:
    """Things on the floor, mostly along the walls."""
    for _ in range(count):
        thing = [makers[int(plan.rng.integers(len(makers)))](plan.rng)]
        if plan.rng.random() < 0.7:
            plan.against(thing, front=0.0, gap=float(plan.rng.uniform(0.02, 0.15)))
        else:
            plan.stand(thing)


def somebody(plan: Plan, chance: Number) -> None:
    """Perhaps a person who stands in the room."""
    if plan.rng.random() < chance:
        plan.stand([people.person(plan.rng).all_of("person")], yaw=plan.rng.uniform(0, 6.28), kept=False)


def study_corner(plan: Plan) -> None:
    """A desk with what lies on it, and its chair."""
    rng = plan.rng
    things, high = furniture.desk(rng)
    desk = plan.against(things, front=0.75)
    if desk is None:
        return
    surface = top_of(plan, desk, high)
    middle = float(rng.uniform(-0.15, 0.15))
    if rng.random() < 0.75:
        surface.add(props.monitor(rng), at=(0.2, middle))
        surface.add(props.keyboard(rng), at=(0.48, middle))
    else:
        surface.add(props.laptop(rng), at=(0.36, middle))
    surface.scatter(
        (
            props.paper,
            props.books,
            props.cup,
            props.telephone,
            props.lamp,
            props.bottle,
            props.standing_books,
            props.box,
        ),
        int(rng.integers(3, 7)),
    )
    seat = furniture.office_chair(rng) if rng.random() < 0.7 else furniture.chair(rng)
    plan.near(seat, desk, 0.82, middle + rng.normal(0, 0.12), 0, np.pi + rng.normal(0, 0.4))
    plan.feet.append(Place(*desk.at(0.82, middle), desk.yaw, np.array([[-0.3, -0.3, 0], [0.3, 0.3, 1]])).area())
    if rng.random() < 0.5:
        wide = float(desk.box[1, 1] - desk.box[0, 1])
        shelf(plan, desk, wide * 0.8, 1.35)


def shelf(plan: Plan, below: Place, width: float, z: float) -> None:
    """A board on the wall above something, with books and things on it, where the wall is free."""
    board = furniture.boxes([(0, 0.24, -width / 2, width / 2, 0, 0.025)], furniture.wooden(plan.rng, "shelf"))
    wall, along = plan.behind(below)
    if plan.hang([board], z, [wall], along, 0.2):
        x, y, yaw = plan.on_wall(wall, along, 0.012)
        place = Place(x, y, yaw, extent([board]))
        makers = (props.standing_books, props.standing_books, props.vase, props.plant, props.box)
        top_of(plan, place, z + 0.025, 0.01).scatter(makers, 4)

"""How somebody with a camera in hand stands and walks in a room."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Float, Float32

from wsss.datasets.miniature.engine.shapes import KINDS, Mesh
from wsss.datasets.miniature.rooms.floorplan import CELL

Rng = np.random.Generator

_NEEDED = 0.30
"""Metres around the camera that must be free, as far as the room allows."""
_SPEED = (0.28, 0.42)
"""Metres per second: slow, to see."""
_TURNING = (0.06, 0.18)
"""Radians per second."""
_AHEAD = 0.5
"""Radians by which the camera may look ahead or behind of what is straight to the side."""
_PURPOSE = [
    KINDS.index(kind) for kind in ("bed", "sofa", "desk", "dining table", "stove", "toilet", "bathtub", "piano")
]
"""What a room is for, and so what is filmed of it."""
_DRAWN, _TRIED = 1600, 128
"""Ways that are drawn, and that are looked at."""


def look(position: Float[np.ndarray, "f 3"], yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray
         ) -> Float[np.ndarray, "f 4 4"]:  # fmt: skip
    """world_from_camera of a camera (x right, y down, z forward) at f positions.

    Args:
        position: Metres.
        yaw: Radians to the left from +x.
        pitch: Radians downwards.
        roll: Radians clockwise.
    """
    forward = np.stack([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), -np.sin(pitch)], -1)
    level = np.stack([np.sin(yaw), -np.cos(yaw), np.zeros_like(yaw)], -1)
    down = np.cross(forward, level)
    cos, sin = np.cos(roll)[:, None], np.sin(roll)[:, None]
    result = np.tile(np.eye(4), (len(position), 1, 1))
    result[:, :3, 0] = cos * level + sin * down
    result[:, :3, 1] = cos * down - sin * level
    result[:, :3, 2] = forward
    result[:, :3, 3] = position
    return result


def interest(embree: EmbreeScene, mesh: Mesh, poses: Float[np.ndarray, "n stops 4 4"]) -> Float[np.ndarray, " n"]:
    """How much the glances from some stops find, with 20 x 15 rays each.

    Many things at every stop, many kinds of things at all of them together, above all what the room is for, little bare
    wall, nothing close before the eyes.
    """
    x, y = np.meshgrid(np.linspace(-0.6, 0.6, 20), np.linspace(-0.45, 0.45, 15))
    rays = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], 1)
    directions = np.einsum("nsij,rj->nsri", poses[..., :3, :3], rays).astype(np.float32)
    origins = np.broadcast_to(poses[..., None, :3, 3].astype(np.float32), directions.shape)
    hits = embree.run(np.ascontiguousarray(origins.reshape(-1, 3)), directions.reshape(-1, 3), output=True)
    face = hits["primID"].reshape(directions.shape[:3])
    near = (hits["tfar"].reshape(face.shape) < 0.75).mean(2)
    kind, instance = mesh.kind[face], np.where(face < 0, 0, mesh.instance[face])
    bare = np.isin(kind, [KINDS.index("wall"), KINDS.index("ceiling")]).mean(2)
    things = np.array([[min((np.bincount(glance)[1:] > 1).sum(), 12) for glance in stops] for stops in instance])
    kinds = np.stack([np.bincount(stops.ravel(), minlength=len(KINDS)) > 3 for stops in kind])
    worth = 0.05 * things - 2.5 * bare - 3.0 * near
    return worth.mean(1) + worth.min(1) + 0.3 * kinds.sum(1) + 0.5 * kinds[:, _PURPOSE].sum(1)


def elbow_room(embree: EmbreeScene, places: Float[np.ndarray, "n p 3"]) -> Float[np.ndarray, " n"]:
    """Metres to the nearest thing level with any of the places, such as an open door or a curtain."""
    angle = 2 * np.pi * np.arange(16) / 16
    level = np.stack([np.cos(angle), np.sin(angle), np.zeros(16)], -1)
    directions = np.broadcast_to(level, (*places.shape[:2], 16, 3)).astype(np.float32).reshape(-1, 3)
    origins = np.repeat(places.reshape(-1, 3), 16, axis=0).astype(np.float32)
    distance = embree.run(origins, np.ascontiguousarray(directions), output=True)["tfar"]
    return distance.reshape(len(places), -1).min(1).astype(np.float64)


@dataclass(frozen=True)
class _Arcs:
    """Ways of n people who walk along arcs and look to the side, as functions of the share of the way behind them."""

    middle: Float[np.ndarray, "n 2"]
    """Metres."""
    length: Float[np.ndarray, " n"]
    """Metres."""
    heading: Float[np.ndarray, " n"]
    """Direction of the step in the middle, radians."""
    bend: Float[np.ndarray, " n"]
    """Radians by which the direction of the steps changes on the whole way."""
    yaw: Float[np.ndarray, " n"]
    """Where the camera looks in the middle, radians."""
    turn: Float[np.ndarray, " n"]
    """Radians by which it turns on the whole way."""

    def chosen(self, which: np.ndarray) -> "_Arcs":
        """Some of them."""
        return _Arcs(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def at(self, share: Float[np.ndarray, " s"]) -> tuple[Float[np.ndarray, "n s 2"], Float[np.ndarray, "n s"]]:
        """Places and directions of the camera."""
        along = share - 0.5
        # The chord from the middle of an arc: its angle is half that of the arc, its length nearly the arc's.
        angle = self.heading[:, None] + 0.5 * self.bend[:, None] * along
        chord = self.length[:, None] * along * np.sinc(0.5 * self.bend[:, None] * along / np.pi)
        places = self.middle[:, None] + chord[..., None] * np.stack([np.cos(angle), np.sin(angle)], -1)
        return places, self.yaw[:, None] + self.turn[:, None] * along


def _arcs(rng: Rng, clearance: Float32[np.ndarray, "columns rows"], seconds: float) -> _Arcs:
    """Arcs where nothing stands in the way; where the room is too full, those that keep off the most."""
    columns, rows = np.nonzero(clearance >= min(_NEEDED, 0.9 * float(clearance.max())))
    cell = rng.choice(len(columns), _DRAWN)
    heading = rng.uniform(-np.pi, np.pi, _DRAWN)
    arcs = _Arcs(
        middle=(np.stack([columns[cell], rows[cell]], 1) + 0.5) * CELL,
        length=rng.uniform(*_SPEED, _DRAWN) * seconds,
        heading=heading,
        bend=rng.uniform(-0.9, 0.9, _DRAWN),
        yaw=heading + rng.choice([-1, 1], _DRAWN) * np.pi / 2 + rng.uniform(-_AHEAD, _AHEAD, _DRAWN),
        turn=rng.choice([-1, 1], _DRAWN) * rng.uniform(*_TURNING, _DRAWN) * seconds,
    )
    places, _ = arcs.at(np.linspace(0, 1, 12))
    cells = np.floor(places / CELL).astype(int)
    last = np.array(clearance.shape) - 1
    inside = ((cells >= 0) & (cells <= last)).all(2)
    cells = np.clip(cells, 0, last)
    free = np.where(inside, clearance[cells[..., 0], cells[..., 1]], 0.0).min(1)
    return arcs.chosen(np.argsort(-np.minimum(free, _NEEDED), kind="stable")[:_TRIED])


def walk(
    rng: Rng,
    mesh: Mesh,
    clearance: Float32[np.ndarray, "columns rows"],
    seconds: float,
    frames: int,
    stops: Sequence[int],
) -> Float[np.ndarray, "f 4 4"]:
    """world_from_camera at equal intervals of a walk with a camera in hand, to where much is to be seen.

    The camera looks to the side of the way, as one films a room, turns slowly, and shakes.

    Args:
        rng: Random numbers.
        mesh: The room.
        clearance: Metres to the nearest obstacle for each cell of the floor.
        seconds: How long the walk takes.
        frames: Number of poses.
        stops: Poses from which there should be most to see, each time something else.
    """
    arcs = _arcs(rng, clearance, seconds)
    embree = EmbreeScene(robust=True)
    TriangleMesh(embree, np.ascontiguousarray(mesh.corners))
    places, yaw = arcs.at(np.array([stop / (frames - 1) for stop in stops]))
    glances = look(_eyes(places).reshape(-1, 3), yaw.ravel(), np.full(yaw.size, 0.28), np.zeros(yaw.size))
    found = interest(embree, mesh, glances.reshape(*yaw.shape, 4, 4))
    spare = elbow_room(embree, _eyes(arcs.at(np.linspace(0, 1, 16))[0]))
    best = int(np.argmax(found - 12 * np.maximum(_NEEDED - spare, 0)))
    places, yaw = arcs.chosen(np.array([best])).at(np.linspace(0, 1, frames))
    return _handheld(rng, places[0], yaw[0], np.linspace(0, seconds, frames))


def _eyes(places: Float[np.ndarray, "n p 2"]) -> Float[np.ndarray, "n p 3"]:
    """The places at the height of the camera."""
    return np.concatenate([places, np.full((*places.shape[:2], 1), 1.45)], -1)


def _handheld(
    rng: Rng, places: Float[np.ndarray, "f 2"], yaw: Float[np.ndarray, " f"], time: Float[np.ndarray, " f"]
) -> Float[np.ndarray, "f 4 4"]:
    """world_from_camera of a camera that a hand carries along a way."""
    shake, phase = _shake(rng, time, 5), rng.uniform(0, 2 * np.pi)
    height = rng.uniform(1.25, 1.65) + 0.03 * np.sin(2 * np.pi * time / 2.7 + phase) + 0.008 * shake[0]
    position = np.concatenate([places + 0.006 * shake[1:2].T, height[:, None]], axis=1)
    pitch = rng.uniform(0.14, 0.42) + 0.05 * np.sin(2 * np.pi * time / 6.1 + phase) + 0.008 * shake[2]
    roll = rng.normal(0, 0.02) + 0.008 * shake[3]
    return look(position, yaw + 0.008 * shake[4], pitch, np.asarray(roll))


def _shake(rng: Rng, time: np.ndarray, count: int) -> np.ndarray:
    """Smooth noise (count, f) in about [-1, 1], of 0.7 to 3 Hz."""
    rate, phase = rng.uniform(0.7, 3.0, (count, 4, 1)), rng.uniform(0, 2 * np.pi, (count, 4, 1))
    return np.sin(2 * np.pi * rate * time + phase).sum(1) / 2

"""How somebody with a camera in hand stands and walks in a room."""

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Float, Float32

from wsss.datasets.miniature.engine.shapes import KINDS, Mesh
from wsss.datasets.miniature.rooms.floorplan import CELL

Rng = np.random.Generator

_NEEDED = 0.30
"""Metres around the camera that must be free, as far as the room allows."""


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


def viewpoint(
    rng: Rng,
    mesh: Mesh,
    clearance: Float32[np.ndarray, "columns rows"],
    spots: Float[np.ndarray, "n 4"],
    avoid: np.ndarray,
) -> tuple[np.ndarray, float, float]:
    """A free place (x, y), its clearance in metres, and the direction in radians in which much is to be seen.

    Args:
        rng: Random numbers.
        mesh: The room.
        clearance: Metres to the nearest obstacle for each cell of the floor.
        spots: Middles and sizes of the things in the room.
        avoid: Views (k, 3) taken already, as x, y, direction.
    """
    enough = min(0.55, 0.9 * float(clearance.max()))
    columns, rows = np.nonzero(clearance >= enough)
    chosen = rng.choice(len(columns), 40)
    places = (np.stack([columns[chosen], rows[chosen]], 1) + 0.5) * CELL
    yaw = rng.uniform(-np.pi, np.pi, (40, 12))
    way = spots[None, :, :2] - places[:, None]  # place, thing
    distance = np.linalg.norm(way, axis=2)
    bearing = np.arctan2(way[..., 1], way[..., 0])
    aside = np.abs(_wrapped(bearing[:, None] - yaw[..., None]))  # place, yaw, thing
    large = np.minimum(spots[:, 3] / np.maximum(distance, 0.5), 0.6)  # about the angle that it fills
    worth = np.clip(distance - 0.7, 0, 1) * np.clip(5.5 - distance, 0, 1) * large
    score = ((aside < 0.5) * worth[:, None]).sum(2)
    score -= 1.5 * ((aside < 0.7) * ((distance < 1.0) * large)[:, None]).sum(2)
    for x, y, other in avoid:
        turned = np.abs(_wrapped(yaw - other))
        moved = np.linalg.norm(places - [x, y], axis=1)[:, None]
        score -= 8.0 * np.clip(1 - turned / 1.2, 0, 1) * np.clip(1.5 - moved, 0.3, 1)
    order = np.argsort(-score.ravel(), kind="stable")[:48]
    spot, yaw = order // 12, yaw.ravel()[order]
    eye = np.c_[places[spot], np.full(len(spot), 1.45)]
    found = interest(mesh, look(eye, yaw, np.full(len(yaw), 0.28), np.zeros(len(yaw)))) + 0.1 * score.ravel()[order]
    best = int(np.argsort(-found, kind="stable")[int(rng.integers(6))])
    cell = chosen[spot[best]]
    return places[spot[best]], float(clearance[columns[cell], rows[cell]]), float(yaw[best])


def interest(mesh: Mesh, poses: Float[np.ndarray, "f 4 4"]) -> Float[np.ndarray, " f"]:
    """How much a glance with 20 x 15 rays finds: many things, little bare wall, nothing close before the eyes."""
    embree = EmbreeScene(robust=True)
    TriangleMesh(embree, np.ascontiguousarray(mesh.corners))
    x, y = np.meshgrid(np.linspace(-0.6, 0.6, 20), np.linspace(-0.45, 0.45, 15))
    rays = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], 1)
    directions = np.einsum("fij,rj->fri", poses[:, :3, :3], rays).astype(np.float32)
    origins = np.broadcast_to(poses[:, None, :3, 3].astype(np.float32), directions.shape)
    hits = embree.run(np.ascontiguousarray(origins.reshape(-1, 3)), directions.reshape(-1, 3), output=True)
    face = hits["primID"].reshape(len(poses), -1)
    near = (hits["tfar"].reshape(face.shape) < 0.9).mean(1)
    kind, instance = mesh.kind[face], np.where(face < 0, 0, mesh.instance[face])
    bare = np.isin(kind, [KINDS.index("wall"), KINDS.index("ceiling")]).mean(1)
    things = np.array([min((np.bincount(row)[1:] > 1).sum(), 12) for row in instance])
    kinds = np.array([(np.bincount(row) > 3).sum() for row in kind])
    return 0.05 * things + 0.15 * kinds - 2.5 * bare - 3.0 * near


def _wrapped(angle: np.ndarray) -> np.ndarray:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def stroll(rng: Rng, place: np.ndarray, clearance: float, yaw: float, frames: int, seconds: float
           ) -> Float[np.ndarray, "f 4 4"]:  # fmt: skip
    """world_from_camera along a smooth loop that stays where nothing stands, slowly turning, with a hand's shake."""
    time = np.linspace(0, seconds, frames) if frames > 1 else np.zeros(1)
    radius = max(0.12, clearance - _NEEDED)
    speed = min(rng.uniform(0.2, 0.45), 2.5 * radius)
    phase, sense = rng.uniform(0, 2 * np.pi), rng.choice([-1.0, 1.0])
    angle = phase + sense * speed * time / radius
    sideways = np.array([-np.sin(yaw), np.cos(yaw)])
    ahead = np.array([np.cos(yaw), np.sin(yaw)])
    flat = place + radius * (np.cos(angle)[:, None] * sideways + 0.6 * np.sin(angle)[:, None] * ahead)
    shake = _shake(rng, time, 5)
    height = rng.uniform(1.25, 1.65) + 0.03 * np.sin(2 * np.pi * time / 2.7 + phase) + 0.008 * shake[0]
    position = np.concatenate([flat, height[:, None]], axis=1)
    position[:, :2] += 0.006 * shake[1:2].T
    turn = rng.uniform(0.08, 0.22) * np.sin(2 * np.pi * time / rng.uniform(5, 9) + rng.uniform(0, 2 * np.pi))
    pitch = rng.uniform(0.14, 0.42) + 0.05 * np.sin(2 * np.pi * time / 6.1 + phase) + 0.008 * shake[2]
    roll = rng.normal(0, 0.02) + 0.008 * shake[3]
    return look(position, yaw + turn + 0.008 * shake[4], pitch, np.asarray(roll))


def _shake(rng: Rng, time: np.ndarray, count: int) -> np.ndarray:
    """Smooth noise (count, f) in about [-1, 1], of 0.7 to 3 Hz."""
    rate, phase = rng.uniform(0.7, 3.0, (count, 4, 1)), rng.uniform(0, 2 * np.pi, (count, 4, 1))
    return np.sin(2 * np.pi * rate * time + phase).sum(1) / 2

"""The indoor worlds: the same from the same seed, every face named, and a camera that walks where a person could."""

import numpy as np
import pytest

from wsss.benchmark.randomness import stream
from wsss.datasets.miniature.engine.lamps import Lamp, lamplight
from wsss.datasets.miniature.engine.render import Scene
from wsss.datasets.miniature.engine.shapes import KINDS, Mesh
from wsss.datasets.miniature.rooms import rooms
from wsss.datasets.miniature.rooms.floorplan import CELL
from wsss.datasets.miniature.rooms.indoor import NAMES_40

INTRINSICS = np.array([[64.9, 0, 40.2], [0, 64.9, 31.2], [0, 0, 1.0]])
CLASS = np.array([rooms.CLASSES_40.get(kind, 0) for kind in KINDS])
COUNT = 16
STOPS = (10, 38)


@pytest.fixture(scope="module")
def built():
    """Two rooms of every scene type."""
    return [rooms.build(0, f"test {k}", rooms.SCENE_TYPES[k % len(rooms.SCENE_TYPES)]) for k in range(COUNT)]


@pytest.fixture(scope="module")
def pictures(built):
    """What two stops on a walk through each room show."""
    scenes = [Scene(room.mesh, room.light) for room in built]
    poses = [room.path(stream(0, "views", k), 48, 4.8, STOPS)[list(STOPS)] for k, room in enumerate(built)]
    return [[scene.view(INTRINSICS, (60, 80), p, "a") for p in two] for scene, two in zip(scenes, poses, strict=True)]


def test_seed_and_name_decide_everything():
    first, again, other = rooms.build(3, "a"), rooms.build(3, "a"), rooms.build(4, "a")
    for name in Mesh.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(first.mesh, name), getattr(again.mesh, name))
    assert first.light == again.light
    assert first.size != other.size
    poses = first.path(stream(0, "walk"), 5, 1.0, (2,))
    np.testing.assert_array_equal(poses, again.path(stream(0, "walk"), 5, 1.0, (2,)))
    assert not np.allclose(poses, first.path(stream(1, "walk"), 5, 1.0, (2,)))


def test_scene_types_are_drawn_or_told():
    assert len({rooms.build(0, f"draw {k}").scene_type for k in range(6)}) >= 3
    assert rooms.build(0, "draw 0", "kitchen").scene_type == "kitchen"


def test_every_kind_has_a_class_and_a_number(built):
    assert len(NAMES_40) == 40
    assert set(rooms.CLASSES_40.values()) == set(range(1, 41))
    assert set(rooms.CLASSES_40) <= set(KINDS) and len(KINDS) == len(set(KINDS)) < 256
    same = [name for name in NAMES_40 if name in rooms.CLASSES_40]
    assert len(same) > 30 and all(NAMES_40[rooms.CLASSES_40[name] - 1] == name for name in same)
    for room in built:
        assert (CLASS[room.mesh.kind] > 0).all()


def test_meshes_are_sound(built):
    for room in built:
        mesh = room.mesh
        assert np.isfinite(mesh.corners).all() and np.isfinite(mesh.uv).all()
        np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-3)
        assert 500 < len(mesh) < 20_000
        x, y, z = room.size
        inside = CLASS[mesh.kind] != rooms.CLASSES_40["window"]
        inside &= ~np.isin(mesh.kind, [KINDS.index(k) for k in ("wall", "floor", "ceiling", "door", "sky")])
        corners = mesh.corners[inside]
        assert corners.min() > -0.5 and (corners.max((0, 1)) < np.array([x, y, z]) + 0.5).all()


def test_things_are_counted_one_by_one(built):
    for room in built:
        structure = np.isin(room.mesh.kind, [KINDS.index(k) for k in ("floor", "ceiling")])
        assert not room.mesh.instance[structure].any()
        numbers = np.unique(room.mesh.instance)
        np.testing.assert_array_equal(numbers, np.arange(len(numbers)))
        assert len(numbers) > 12
    bedroom = built[rooms.SCENE_TYPES.index("bedroom")].mesh
    pillows = bedroom.instance[bedroom.kind == KINDS.index("pillow")]
    assert (
        len(np.unique(pillows)) >= 1
        and not np.isin(pillows, bedroom.instance[bedroom.kind == KINDS.index("bed")]).any()
    )


def distance_to(mesh, point):
    """Metres from a point to the nearest of points spread over all faces."""
    a, b, c = mesh.corners.astype(np.float64).transpose(1, 0, 2)
    spread = [u * a + v * b + (1 - u - v) * c for u in np.linspace(0, 1, 7) for v in np.linspace(0, 1 - u, 7)]
    return min(float(np.linalg.norm(s - point, axis=1).min()) for s in spread)


def test_camera_walks_upright_through_free_space(built):
    for k, room in enumerate(built):
        poses = room.path(stream(0, "walk", k), 48, 4.7, STOPS)
        turn, place = poses[:, :3, :3], poses[:, :3, 3]
        np.testing.assert_allclose(turn @ turn.transpose(0, 2, 1), np.tile(np.eye(3), (48, 1, 1)), atol=1e-9)
        np.testing.assert_allclose(np.linalg.det(turn), 1)
        assert (turn[:, 2, 1] < -0.85).all()  # the camera's down is down
        assert (turn[:, 2, 2] < 0).all()  # and it looks a little that way
        assert (place[:, 2] > 1.15).all() and (place[:, 2] < 1.75).all()
        speed = np.linalg.norm(np.diff(place, axis=0), axis=1) * 10
        assert 0.1 < speed.mean() < 0.55 and speed.max() < 0.8
        angle = np.degrees(np.arccos(np.clip((np.einsum("fij,fij->f", turn[1:], turn[:-1]) - 1) / 2, -1, 1)))
        assert angle.max() < 6  # in a tenth of a second
        cells = (place[:, :2] / CELL).astype(int)
        assert (room.clearance[cells[:, 0], cells[:, 1]] > 0.04).all()
        assert all(distance_to(room.mesh, p) > 0.08 for p in place[::6])


def test_the_way_is_an_arc_that_is_walked_evenly(built):
    for k, room in enumerate(built):
        poses = room.path(stream(0, "walk", k), 48, 4.7, STOPS)
        place = poses[:, :2, 3]
        steps = np.linalg.norm(np.diff(place[::6], axis=0), axis=1)
        assert steps.max() < 1.6 * steps.min()
        ahead = (place[-1] - place[0]) / np.linalg.norm(place[-1] - place[0])
        middle = poses[24, :2, 2] / np.linalg.norm(poses[24, :2, 2])
        assert abs(ahead @ middle) < np.sin(0.75), "the camera looks to the side"


def test_views_show_several_things_from_different_places(built, pictures):
    seen = []
    for room, two in zip(built, pictures, strict=True):
        for view in two:
            counts = np.bincount(view.instance.ravel())[1:]
            seen.append((counts > 8).sum())
            assert len(np.unique(view.kind)) >= 3
            assert np.quantile(view.depth[np.isfinite(view.depth)], 0.05) > 0.3
            assert np.isfinite(view.depth).mean() > 0.5
        moved = np.linalg.inv(two[0].world_from_camera) @ two[1].world_from_camera
        assert np.linalg.norm(moved[:3, 3]) > 0.2 or moved[2, 2] < 0.9, room.scene_type
    assert min(seen) >= 3 and np.mean(seen) > 6


def test_many_classes_are_seen(pictures):
    labels = np.stack([CLASS[view.kind] for two in pictures for view in two])
    shares = np.bincount(labels.ravel(), minlength=41) / labels.size
    assert shares[0] == 0
    assert (shares[1:] > 0).sum() >= 30
    assert (shares[1:] > 0.002).sum() >= 20
    assert 0.2 < shares[rooms.CLASSES_40["wall"]] < 0.5


def test_exposure_and_texture_serve_a_camera(pictures):
    for two in pictures:
        for view in two:
            assert 50 < view.rgb.mean() < 225
            wall = view.kind == KINDS.index("wall")
            if wall.sum() > 500:
                assert view.rgb[wall].std(0).mean() > 4


def test_lamp_lights_what_faces_it_and_shadows_are_darker():
    lamp = Lamp(position=(0.0, 0.0, 2.0), color=(1.0, 1.0, 1.0))
    points, up = np.zeros((3, 3), np.float32), np.array([[0, 0, 1], [0, 0, 1], [0, 0, -1]], np.float32)
    lit = lamplight([lamp], points, up, lambda start, steps: np.array([False, True, False]))[:, 0]
    assert lit[0] > 2 * lit[1] > 0 and lit[0] > 2 * lit[2] > 0
    window = Lamp(position=(0.0, 0.0, 2.0), color=(1.0, 1.0, 1.0), normal=(0.0, 0.0, 1.0))
    away = lamplight([window], points[:1], up[:1], lambda start, steps: np.array([False]))
    assert away[0, 0] < 0.2 * lit[0]

"""The miniature Waymo: both releases say the same, and points, pictures, poses and shutters agree by exact geometry.

Files are read here with pyarrow, OpenCV and a small walk over protocol buffers, not with the adapter.
"""

import functools
import json
import shutil
import struct
import zlib

import cv2
import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wsss.benchmark.errors import DatasetError
from wsss.benchmark.geometry import cameras
from wsss.benchmark.geometry.true_depth import read_truth
from wsss.datasets.miniature import waymo, waymo_scan
from wsss.datasets.miniature.engine.shapes import BROADER, KINDS
from wsss.datasets.waymo import Waymo

SEGMENTS = waymo.segments("tiny", 0)
CAMERAS = {1: "FRONT", 2: "FRONT_LEFT", 3: "FRONT_RIGHT"}


@pytest.fixture(scope="module")
def root(tiny):
    return tiny("waymo")


def tree(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@functools.cache
def rows(root, segment, component):
    """The rows of a component, columns without their prefix; long lists of numbers as arrays."""
    table = pq.read_table(root / segment.split / component / f"{segment.context}.parquet")
    names = [name.split("].")[-1].removeprefix("key.") for name in table.column_names]
    columns = [
        [row.values.to_numpy() for row in column] if name.endswith("values") and "range" in name else column.to_pylist()
        for name, column in zip(names, table.columns, strict=True)
    ]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def decoded(data):
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


def true_depth(root, name):
    depth = read_truth(root, name)
    assert depth is not None, name
    return depth


def fields(data):
    """Every field of a message: number -> list of raw values."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}[tag & 7] if tag & 7 != 2 else varint()
            value, at = data[at : at + size], at + size
        found.setdefault(tag >> 3, []).append(value)
    return found


def doubles(values):
    return [struct.unpack("<d", value)[0] for value in values]


def matrix(compressed):
    message = fields(zlib.decompress(compressed))
    return np.frombuffer(message[1][0], "<f4").reshape(fields(message[2][0])[1])


def frames(root, segment):
    """The frames of a tfrecord, its checksums verified."""
    data = (root / segment.split / f"segment-{segment.context}_with_camera_labels.tfrecord").read_bytes()
    at, found = 0, []
    while at < len(data):
        (size,) = struct.unpack("<Q", data[at : at + 8])
        payload = data[at + 12 : at + 12 + size]
        for content, place in ((data[at : at + 8], at + 8), (payload, at + 12 + size)):
            crc = google_crc32c.value(content)
            masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
            assert struct.unpack("<I", data[place : place + 4])[0] == masked
        found.append(fields(payload))
        at += 16 + size
    return found


def test_a_segment_has_the_same_bytes_in_any_order(root, tmp_path):
    segment = SEGMENTS[1]
    waymo.write(tmp_path, "tiny", 0, segment.context)
    mine = {name: data for name, data in tree(root).items() if segment.context in name}
    assert tree(tmp_path) == mine and len(mine) == 8 + 15


def test_only_what_is_missing_is_written_again(root, tmp_path):
    copy, segment = tmp_path / "waymo", SEGMENTS[0]
    shutil.copytree(root, copy)
    digest = waymo.write(copy, "tiny", 0, segment.context)
    lost = [
        copy / segment.split / "lidar" / f"{segment.context}.parquet",
        next((copy / "truth").glob(f"{segment.context}*")),
    ]
    for path in lost:
        path.unlink()
    times = {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()}
    assert waymo.write(copy, "tiny", 0, segment.context) == digest
    assert tree(copy) == tree(root)
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


@pytest.mark.parametrize(
    "name", ["camera_image/{}.parquet", "lidar/{}.parquet", "segment-{}_with_camera_labels.tfrecord"]
)
def test_damaged_files_are_named(root, tmp_path, name):
    copy, segment = tmp_path / "waymo", SEGMENTS[2]
    shutil.copytree(root, copy)
    path = copy / segment.split / name.format(segment.context)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DatasetError, match="damaged"):
        waymo.write(copy, "tiny", 0, segment.context)


def test_facts_and_units(root):
    manifest = json.loads((root / "miniature.json").read_text())
    assert (manifest["width"], manifest["height"], manifest["train"], manifest["val"]) == (120, 80, 12, 6)
    assert sum(unit.frames for unit in waymo.units("tiny", 0)) == 18
    full = waymo.segments("full", 0)
    assert len({s.context for s in full}) == 18 and waymo.facts("full")["train"] == 180
    assert {s.context for s in full}.isdisjoint(s.context for s in waymo.segments("full", 1))


@pytest.mark.parametrize("segment", SEGMENTS, ids=lambda s: s.split + str(s.number))
def test_tables_have_native_names_and_shapes(root, segment):
    images, labels = (rows(root, segment, f"camera_{what}") for what in ("image", "segmentation"))
    assert all(
        row["index"] == f"{segment.context};{row['frame_timestamp_micros']};{row['camera_name']}" for row in images
    )
    times = sorted({row["frame_timestamp_micros"] for row in images})
    assert np.all(np.diff(times) == 100_000) and len(times) == 5 and len(images) == 15
    labelled = {(row["frame_timestamp_micros"] - times[0], row["camera_name"]) for row in labels}
    assert labelled == {(t, camera) for t in (0, 400_000) for camera in (1, 2, 3)}
    file = pq.ParquetFile(root / segment.split / "camera_image" / f"{segment.context}.parquet")
    assert file.num_row_groups == 3
    types = {name: str(file.schema_arrow.field(name).type) for name in file.schema_arrow.names}
    assert list(types)[:4] == ["index", "key.segment_context_name", "key.frame_timestamp_micros", "key.camera_name"]
    assert types["key.camera_name"] == "int8" and types["[CameraImageComponent].image"] == "binary"
    assert file.schema_arrow.field("[CameraImageComponent].pose.transform").type == pa.list_(pa.float64(), 16)
    assert types["[CameraImageComponent].velocity.linear_velocity.x"] == "float"
    for row in images:
        picture = f"{segment.context}_{row['frame_timestamp_micros']}_{CAMERAS[row['camera_name']]}"
        assert decoded(row["image"]).shape == (80, 120, 3)
        assert true_depth(root, picture).shape == (80, 120)
        names = ("camera_readout_done_time", "camera_trigger_time", "shutter")
        done, trigger, shutter = (row[f"rolling_shutter_params.{name}"] for name in names)
        assert abs(done - trigger - shutter - 0.044) < 1e-5
    shapes = {(row["laser_name"], tuple(row["range_image_return1.shape"])) for row in rows(root, segment, "lidar")}
    assert shapes == {(1, (64, 128, 4)), (2, (20, 32, 4))}
    assert {row["laser_name"] for row in rows(root, segment, "lidar_pose")} == {1}
    top, front = rows(root, segment, "lidar_calibration")
    steps = np.diff(top["beam_inclination.values"])
    assert np.all(steps > 0) and steps.max() > 2 * steps.min() and front["beam_inclination.values"] is None
    world = np.array([row["world_from_vehicle.transform"] for row in rows(root, segment, "vehicle_pose")]).reshape(
        -1, 4, 4
    )
    assert np.all(np.abs(world[:, :2, 3]) > 1e3)
    speed = np.linalg.norm(np.diff(world[:, :3, 3], axis=0), axis=1) / 0.1
    assert np.all((speed > 5.5) & (speed < 13.5))


def test_panoptic_labels(root):
    instances = 0
    for segment in SEGMENTS:
        for row in rows(root, segment, "camera_segmentation"):
            label = decoded(row["panoptic_label"])
            assert label.dtype == np.uint16 and label.shape == (80, 120) and row["panoptic_label_divisor"] == 1000
            ids, local = label // 1000, label % 1000
            assert set(np.unique(ids)) <= set(range(29))
            assert set(np.unique(local[local > 0])) == set(row["instance_id_to_global_id_mapping.local_instance_ids"])
            assert np.all((local > 0) == np.isin(ids, waymo_scan.COUNTED))
            pairs = {(int(i), int(k)) for i, k in zip(ids[local > 0], local[local > 0], strict=True)}
            assert len(pairs) == len({k for _, k in pairs})  # one class each
            instances += len(pairs)
            covered = decoded(row["num_cameras_covered"])
            assert covered.dtype == np.uint8 and set(np.unique(covered)) == {1, 2}
    assert instances > 40


def test_riders_and_what_they_ride_are_one_instance():
    assert waymo_scan.IDS["rider"] == waymo_scan.IDS["ridden bicycle"] == 10
    assert {BROADER.get(kind, kind) for kind in waymo_scan.IDS} <= set(KINDS)
    found = 0
    for segment in waymo.segments("full", 0)[:4]:
        plan = waymo.plan("full", 0, segment)
        street = waymo_scan.world.build(0, segment.context, 2)
        mesh = waymo_scan.world.around(street, 1)
        for rider, ridden in (("rider", "ridden bicycle"), ("motorcyclist", "ridden motorcycle")):
            numbers = [set(mesh.instance[mesh.kind == KINDS.index(kind)].tolist()) for kind in (rider, ridden)]
            assert {n + 1 for n in numbers[0]} == numbers[1], plan.context
            found += len(numbers[0])
    assert found > 1


@pytest.mark.parametrize("segment", SEGMENTS, ids=lambda s: s.split + str(s.number))
def test_both_releases_say_the_same(root, segment):
    images = {(r["frame_timestamp_micros"], r["camera_name"]): r for r in rows(root, segment, "camera_image")}
    labels = {(r["frame_timestamp_micros"], r["camera_name"]): r for r in rows(root, segment, "camera_segmentation")}
    lidar = {(r["frame_timestamp_micros"], r["laser_name"]): r for r in rows(root, segment, "lidar")}
    poses = {r["frame_timestamp_micros"]: r for r in rows(root, segment, "lidar_pose")}
    vehicle = {
        r["frame_timestamp_micros"]: r["world_from_vehicle.transform"] for r in rows(root, segment, "vehicle_pose")
    }
    eyes = {r["camera_name"]: r for r in rows(root, segment, "camera_calibration")}
    lasers = {r["laser_name"]: r for r in rows(root, segment, "lidar_calibration")}
    records = frames(root, segment)
    assert [f[2][0] for f in records] == sorted(vehicle)
    for frame in records:
        (time,), context = frame[2], fields(frame[1][0])
        assert context[1] == [segment.context.encode()]
        assert doubles(fields(frame[3][0])[1]) == vehicle[time]
        for eye in map(fields, context[2]):
            row = eyes[eye[1][0]]
            names = ("f_u", "f_v", "c_u", "c_v", "k1", "k2", "p1", "p2", "k3")
            assert doubles(eye[2]) == [row[f"intrinsic.{name}"] for name in names]
            assert doubles(fields(eye[3][0])[1]) == row["extrinsic.transform"]
            assert (eye[4][0], eye[5][0], eye[6][0]) == (row["width"], row["height"], row["rolling_shutter_direction"])
        for laser in map(fields, context[3]):
            row = lasers[laser[1][0]]
            assert doubles(laser.get(2, [])) == (row["beam_inclination.values"] or [])
            assert doubles(laser[3] + laser[4]) == [row["beam_inclination.min"], row["beam_inclination.max"]]
            assert doubles(fields(laser[5][0])[1]) == row["extrinsic.transform"]
        for image in map(fields, frame[4]):
            same_image(image, images[time, image[1][0]], labels.get((time, image[1][0])))
        for laser in map(fields, frame[5]):
            row = lidar[time, laser[1][0]]
            for number in (1, 2):
                returns = fields(laser[number + 1][0])
                values = np.array(row[f"range_image_return{number}.values"], np.float32)
                np.testing.assert_array_equal(
                    matrix(returns[2][0]), values.reshape(row[f"range_image_return{number}.shape"])
                )
                assert (4 in returns) == (laser[1][0] == 1 and number == 1)
                if 4 in returns:
                    pose = np.array(poses[time]["range_image_return1.values"], np.float32)
                    np.testing.assert_array_equal(matrix(returns[4][0]).ravel(), pose)


def same_image(image, row, label):
    assert image[2][0] == row["image"]
    assert doubles(fields(image[3][0])[1]) == row["pose.transform"]
    velocity = fields(image[4][0])
    linear = [struct.unpack("<f", velocity[k][0])[0] for k in (1, 2, 3)]
    assert linear == [row[f"velocity.linear_velocity.{axis}"] for axis in "xyz"]
    assert doubles([velocity[k][0] for k in (4, 5, 6)]) == [row[f"velocity.angular_velocity.{axis}"] for axis in "xyz"]
    times = ("shutter", "camera_trigger_time", "camera_readout_done_time")
    assert doubles(image[5] + image[6] + image[7] + image[8]) == [
        row["pose_timestamp"], *(row[f"rolling_shutter_params.{name}"] for name in times)
    ]  # fmt: skip
    assert (10 in image) == (label is not None)
    if label is not None:
        old, mapping = fields(image[10][0]), "instance_id_to_global_id_mapping"
        assert (old[1][0], old[2][0], old[5][0]) == (
            label["panoptic_label_divisor"], label["panoptic_label"], label["num_cameras_covered"]
        )  # fmt: skip
        assert old[4][0].decode() == label["sequence_id"]
        pairs = [(m[1][0], m[2][0], bool(m[3][0])) for m in map(fields, old.get(3, []))]
        names = ("local_instance_ids", "global_instance_ids", "is_tracked")
        assert pairs == list(zip(*(label[f"{mapping}.{name}"] for name in names), strict=True))


def rigid(values):
    return np.array(values, np.float64).reshape(4, 4)


def turns(roll, pitch, yaw):
    """Rz(yaw) Ry(pitch) Rx(roll), stacked."""
    zero, one = np.zeros_like(roll), np.ones_like(roll)
    x = np.stack([one, zero, zero, zero, np.cos(roll), -np.sin(roll), zero, np.sin(roll), np.cos(roll)], -1)
    y = np.stack([np.cos(pitch), zero, np.sin(pitch), zero, one, zero, -np.sin(pitch), zero, np.cos(pitch)], -1)
    z = np.stack([np.cos(yaw), -np.sin(yaw), zero, np.sin(yaw), np.cos(yaw), zero, zero, zero, one], -1)
    x, y, z = (m.reshape(-1, 3, 3) for m in (x, y, z))
    return z @ y @ x


def top_points(root, segment, number, pixel_poses=True):
    """World points of the TOP laser, and their places in its range image."""
    scan = [r for r in rows(root, segment, "lidar") if r["laser_name"] == 1][number]
    calibration = next(r for r in rows(root, segment, "lidar_calibration") if r["laser_name"] == 1)
    frame = rigid(rows(root, segment, "vehicle_pose")[number]["world_from_vehicle.transform"])
    image = np.array(scan["range_image_return1.values"]).reshape(scan["range_image_return1.shape"])
    height, width = image.shape[:2]
    outer = rigid(calibration["extrinsic.transform"])
    up = np.array(calibration["beam_inclination.values"])[::-1, None]
    turn = (2 * (width - np.arange(width)[None] - 0.5) / width - 1) * np.pi - np.arctan2(outer[1, 0], outer[0, 0])
    rays = np.stack([np.cos(up) * np.cos(turn), np.cos(up) * np.sin(turn), np.sin(up) + 0 * turn], -1)
    back = image[..., 0] > 0
    vehicle = (rays[back] * image[back][:, :1]) @ outer[:3, :3].T + outer[:3, 3]
    if not pixel_poses:
        return vehicle @ frame[:3, :3].T + frame[:3, 3], back
    pose = np.array(rows(root, segment, "lidar_pose")[number]["range_image_return1.values"])
    pose = pose.reshape(height, width, 6)[back]
    return np.einsum("nij,nj->ni", turns(*pose[:, :3].T), vehicle) + pose[:, 3:], back


def into_image(points, row, calibration, rolling=True, pose=None):
    """Pixel coordinates (0 at the left edge) and depth, from the definitions; NaN where a point is not in front."""
    pose, outer = rigid(row["pose.transform"]) if pose is None else pose, rigid(calibration["extrinsic.transform"])
    fu, fv, cu, cv, k1, k2, p1, p2, k3 = (
        calibration[f"intrinsic.{name}"] for name in ("f_u", "f_v", "c_u", "c_v", "k1", "k2", "p1", "p2", "k3")
    )
    linear, angular = (
        np.array([row[f"velocity.{kind}_velocity.{a}"] for a in "xyz"]) for kind in ("linear", "angular")
    )
    shutter = row["rolling_shutter_params.shutter"]
    trigger, done = (row[f"rolling_shutter_params.camera_{name}_time"] for name in ("trigger", "readout_done"))
    cross = np.array([[0, -angular[2], angular[1]], [angular[2], 0, -angular[0]], [-angular[1], angular[0], 0]])
    width, dt, column, line, x = calibration["width"], *np.zeros((4, len(points)))
    for _ in range(5 if rolling else 1):
        turned = pose[:3, :3] @ (np.eye(3) + dt[:, None, None] * cross)
        vehicle = np.einsum("nji,nj->ni", turned, points - pose[:3, 3] - dt[:, None] * linear)
        x, y, z = ((vehicle - outer[:3, 3]) @ outer[:3, :3]).T
        x = np.where(x > 0.5, x, np.nan)
        u, v = -y / x, -z / x
        r2 = u * u + v * v
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        radial = np.where((radial > 0.8) & (radial < 1.2), radial, np.nan)
        column = cu + fu * (u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u))
        line = cv + fv * (v * radial + p1 * (r2 + 2 * v * v) + 2 * p2 * u * v)
        share = column / width if calibration["rolling_shutter_direction"] == 2 else 1 - column / width
        share = np.clip(np.nan_to_num(share), 0, 1)
        dt = trigger + shutter / 2 + share * (done - trigger - shutter) - row["pose_timestamp"]
    return column, line, x


def around(image, column, line):
    """The 3 x 3 pixels around each place."""
    padded = np.pad(image, 1, mode="edge")
    row, column = line.astype(int), column.astype(int)
    return np.stack([padded[row + i, column + j] for i in range(3) for j in range(3)], -1)


def depths(truth, column, line):
    """Depths (n, 10) that may be seen at each place: of the 3 x 3 pixels, and on the plane through the nearest four.

    On the road neighbouring pixels differ by more than 2 % from 10 m on; there the last one counts.
    """
    inverse = 1 / truth
    x, y = (np.clip(a - 0.5, 0, n - 1.001) for a, n in ((column, truth.shape[1]), (line, truth.shape[0])))
    i, j = y.astype(int), x.astype(int)
    a, b = y - i, x - j
    upper = inverse[i, j] * (1 - b) + inverse[i, j + 1] * b
    lower = inverse[i + 1, j] * (1 - b) + inverse[i + 1, j + 1] * b
    return np.c_[around(truth, column, line), 1 / np.maximum(upper * (1 - a) + lower * a, 1e-6)]


def landed(root, segment, number, cameras=(1, 2, 3), pixel_poses=True, rolling=True, own_pose=True):
    """Per camera: name, places, depths and number in the scan of the TOP points that one frame's picture holds."""
    points, back = top_points(root, segment, number, pixel_poses)
    frame = rigid(rows(root, segment, "vehicle_pose")[number]["world_from_vehicle.transform"])
    for camera in cameras:
        row = next(r for r in rows(root, segment, "camera_image")[3 * number :] if r["camera_name"] == camera)
        calibration = next(r for r in rows(root, segment, "camera_calibration") if r["camera_name"] == camera)
        column, line, depth = into_image(points, row, calibration, rolling, None if own_pose else frame)
        inside = (column >= 0) & (column < calibration["width"]) & (line >= 0) & (line < calibration["height"])
        name = f"{segment.context}_{row['frame_timestamp_micros']}_{CAMERAS[camera]}"
        yield name, column[inside], line[inside], depth[inside], np.flatnonzero(back)[inside]


@pytest.mark.parametrize("segment", SEGMENTS[:2], ids=lambda s: s.split + str(s.number))
def test_laser_points_fall_on_their_depth_and_class(root, segment):
    depth_hits, class_hits = [], []
    recording = waymo_scan.record(waymo.plan("tiny", 0, segment))
    for number, frame in enumerate(recording.frames):
        kinds = {picture.name: picture.kind for picture in frame.pictures}
        for name, column, line, depth, which in landed(root, segment, number):
            near = depths(true_depth(root, name), column, line)
            seen = near.max(1) > 0.98 * depth
            depth_hits.append((np.abs(near - depth[:, None]) < 0.02 * depth[:, None]).any(1)[seen])
            classes, kind = around(kinds[name], column, line), frame.scans[0].kind.ravel()[which]
            class_hits.append((classes == kind[:, None]).any(1)[seen])
    depth_hits, class_hits = np.concatenate(depth_hits), np.concatenate(class_hits)
    assert len(depth_hits) > 12_000
    assert depth_hits.mean() >= 0.97 and class_hits.mean() >= 0.97


def median_error(root, **parts):
    """Of the depth under the points in the cameras that look aside, where mistakes of time show most."""
    errors = []
    for segment in SEGMENTS:
        for number in (0, 2, 4):
            for name, column, line, depth, _ in landed(root, segment, number, (2, 3), **parts):
                errors.append(np.abs(depths(true_depth(root, name), column, line)[:, -1] / depth - 1))
    return np.median(np.concatenate(errors))


def test_no_part_of_the_geometry_can_be_left_out(root):
    whole = median_error(root)
    assert whole < 0.001
    assert median_error(root, pixel_poses=False) > 2 * whole
    assert median_error(root, rolling=False) > 2 * whole
    assert median_error(root, own_pose=False) > 2 * whole


def test_shutters_run_both_ways(root):
    directions = {r["rolling_shutter_direction"] for s in SEGMENTS for r in rows(root, s, "camera_calibration")}
    assert directions == {2, 4}


def adapter_errors(root):
    """Through the adapter: whether unoccluded points have their depth, and relative errors in the side cameras."""
    dataset, hits, errors = Waymo(root), [], []
    for scene in dataset.scenes("train"):
        eyes = dataset.cameras(scene)
        for index in (0, 1, 2, 7, 8, 13):
            frame, sweep, eye = scene.frames[index], dataset.sweep(scene, index), eyes[index]
            truth = true_depth(root, frame.id)
            assert sweep is not None and sweep.in_world and eye is not None
            seen = cameras.project(sweep.xyz, eye, truth.shape)
            line, column = seen.pixel[seen.inside].T + 0.5
            depth = seen.depth[seen.inside]
            line, column = (np.clip(a, 0, n - 1e-3) for a, n in ((line, truth.shape[0]), (column, truth.shape[1])))
            near = depths(truth, column, line)
            visible = near.max(1) > 0.98 * depth
            hits.append((np.abs(near - depth[:, None]) < 0.02 * depth[:, None]).any(1)[visible])
            if frame.camera != "FRONT":
                errors.append(np.abs(near[:, -1] / depth - 1))
    return np.concatenate(hits), float(np.median(np.concatenate(errors)))


def test_sweeps_of_the_adapter_agree_with_the_true_depth(root, tmp_path):
    hits, whole = adapter_errors(root)
    assert len(hits) > 5000 and hits.mean() >= 0.97 and whole < 0.001
    copy = tmp_path / "waymo"
    shutil.copytree(root, copy)
    for path in (copy / "training" / "lidar_pose").iterdir():  # every pixel as if measured in the middle of the turn
        table = pq.read_table(path)
        name, poses = "[LiDARPoseComponent].range_image_return1.values", []
        for values in table[name]:
            image = values.values.to_numpy().reshape(64, 128, 6)
            poses.append(np.broadcast_to(image[:, 64:65], image.shape).ravel())
        column = pa.array(poses, table.schema.field(name).type)
        pq.write_table(table.set_column(table.column_names.index(name), table.schema.field(name), column), path)
    assert adapter_errors(copy)[1] > 2 * whole

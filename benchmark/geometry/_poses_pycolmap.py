"""Structure from motion with COLMAP (Schoenberger and Frahm, CVPR 2016), where the package pycolmap is installed.

It is given the same tracks as our own, in the plane, so that it sees no lens; what it finds is judged alike.
"""

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt32

from wsss.benchmark.geometry._poses_growth import LEAST_POINTS, Growth, Piece
from wsss.benchmark.geometry._poses_opencv import grown
from wsss.benchmark.geometry._poses_rivals import settled
from wsss.benchmark.geometry._poses_tracks import LEAST_MATCHES, Tracks, by_picture

LIKELY_FOCAL = 1.15
"""What is put in for an unknown focal length, as a share of the pictures' width."""
LEAST_ANGLE = 0.5
"""Degrees at a point below which it counts for nothing. COLMAP's own 1.5, and 16 to begin, are never reached by a car
that drives towards what it sees."""
START_ANGLE = 2.0


def installed() -> bool:
    """Whether the package is there."""
    return importlib.util.find_spec("pycolmap") is not None


def pieces(tracks: Tracks, focal: float, known: bool, seed: int) -> list[Piece]:
    """Everything that hangs together and whose motion is beyond doubt, piece by piece.

    Args:
        tracks: Of all pictures.
        focal: Of the plane; the pictures' width where ``known`` is False, and it is to be found.
        known: Whether the focal length is.
        seed: Of the random samples.
    """
    pycolmap = _package()
    pycolmap.logging.minloglevel = int(pycolmap.logging.FATAL)  # failures are seen in what is returned
    pycolmap.set_random_seed(seed % 2**31)
    with TemporaryDirectory(prefix="wsss-poses-") as folder:
        database = Path(folder) / "database.db"
        _write(database, tracks, focal if known else LIKELY_FOCAL * focal, known)
        models = pycolmap.incremental_mapping(database, folder, folder, _options(known, seed))
    left, found = np.ones(tracks.pictures, bool), []
    for model in sorted(models.values(), key=lambda one: -one.num_reg_images()):
        growth = _seated(tracks, model, left, known)
        if growth is None:
            continue
        left &= ~growth.placed
        # A long drive's scale may jump where few points have an angle that COLMAP accepts: ours is its rival.
        piece = settled(growth, grown(tracks, growth.placed, [growth.focal], free_focal=not known))
        if piece is not None:
            found.append(piece)
    return found


def _package() -> Any:
    importlib.import_module("cv2")  # first: after pycolmap, it aborts the process when it writes a PNG
    return importlib.import_module("pycolmap")


def _options(known: bool, seed: int) -> Any:
    """Settings with which a forward drive can be mapped, and mapped alike each time."""
    pycolmap = _package()
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads, options.random_seed = 1, seed % 2**31
    options.extract_colors = False  # there are no picture files
    options.min_model_size, options.min_num_matches = 2, LEAST_MATCHES
    options.ba_refine_focal_length, options.ba_refine_extra_params = not known, False
    mapper = options.mapper
    mapper.num_threads, mapper.random_seed = 1, seed % 2**31
    mapper.init_min_tri_angle, mapper.init_max_forward_motion = START_ANGLE, 1.0
    mapper.init_min_num_inliers, mapper.abs_pose_min_num_inliers = LEAST_MATCHES, LEAST_POINTS
    mapper.filter_min_tri_angle = mapper.ba_local_min_tri_angle = LEAST_ANGLE
    mapper.abs_pose_refine_focal_length = not known
    options.triangulation.min_angle = LEAST_ANGLE
    options.triangulation.ignore_two_view_tracks = False
    options.triangulation.random_seed = seed % 2**31
    return options


def _write(path: Path, tracks: Tracks, focal: float, known: bool) -> None:
    """The tracks as COLMAP's database: a picture's points are the observations of its tracks."""
    pycolmap = _package()
    rows = by_picture(tracks)
    # COLMAP counts from a corner, and takes a focal length that is small against the picture for a mistake.
    half = int(np.ceil(np.abs(tracks.plane).max(initial=1.0)))
    camera = pycolmap.Camera(
        model="SIMPLE_PINHOLE", width=2 * half, height=2 * half, params=[focal, half, half], camera_id=1
    )
    camera.has_prior_focal_length = known
    with pycolmap.Database.open(str(path)) as database:
        database.write_camera(camera, use_camera_id=True)
        rig = pycolmap.Rig(rig_id=1)
        rig.add_ref_sensor(camera.sensor_id)
        database.write_rig(rig, use_rig_id=True)
        for picture in range(tracks.pictures):
            image = pycolmap.Image(name=f"{picture:06d}", camera_id=1, image_id=picture + 1)
            image.frame_id = picture + 1
            frame = pycolmap.Frame(frame_id=picture + 1, rig_id=1)
            frame.add_data_id(image.data_id)
            database.write_frame(frame, use_frame_id=True)
            database.write_image(image, use_image_id=True)
            database.write_keypoints(picture + 1, (tracks.plane[rows[picture]] + half).astype(np.float32))
        for pair in tracks.pairs:
            matches = _shared(tracks, rows, pair.first, pair.second)
            if len(matches) < LEAST_MATCHES:
                continue
            geometry = pycolmap.TwoViewGeometry()
            kinds = pycolmap.TwoViewGeometryConfiguration
            geometry.config = kinds.CALIBRATED if known else kinds.UNCALIBRATED
            shift = np.array([[1.0, 0, -half], [0, 1.0, -half], [0, 0, 1.0]])
            geometry.F = shift.T @ pair.fundamental @ shift
            if known:
                geometry.E = np.diag([focal, focal, 1.0]) @ pair.fundamental @ np.diag([focal, focal, 1.0])
            geometry.inlier_matches = matches
            database.write_matches(pair.first + 1, pair.second + 1, matches)
            database.write_two_view_geometry(pair.first + 1, pair.second + 1, geometry)


def _shared(tracks: Tracks, rows: Mapping[int, np.ndarray], first: int, second: int) -> UInt32[np.ndarray, "n 2"]:
    """Places, among the points of two pictures, of the tracks that both show."""
    a, b = tracks.point[rows[first]], tracks.point[rows[second]]
    _, left, right = np.intersect1d(a, b, assume_unique=True, return_indices=True)
    return np.stack([left, right], 1).astype(np.uint32)


def _seated(tracks: Tracks, model: Any, left: Bool[np.ndarray, " f"], known: bool) -> Growth | None:
    """A model of COLMAP's, less the pictures that another one has, with the points as we find them from there."""
    poses = {id - 1: model.images[id].cam_from_world().matrix() for id in model.reg_image_ids() if left[id - 1]}
    if len(poses) < 2:
        return None
    pictures = np.array(sorted(poses))
    growth = Growth(tracks, float(model.cameras[1].params[0]), free_focal=not known)
    growth.seat(pictures, np.stack([np.concatenate([poses[i], [[0.0, 0.0, 0.0, 1.0]]]) for i in pictures.tolist()]))
    growth.drop_strays()
    for _ in range(2):
        growth.triangulate()
        if not growth.agrees.any():
            return None
        growth.run(left, tracks.pictures)  # COLMAP leaves out, or misplaces, a picture here and there
        growth.adjust(20)
    growth.triangulate()
    return growth

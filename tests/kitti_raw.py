"""A real drive: 24 rectified pictures of KITTI raw and the LiDAR's scan of every fourth."""

from pathlib import Path

import numpy as np
from PIL import Image

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.types import Camera, Frame, Scene, Sweep

FOLDER = Path(__file__).parents[2] / "shared/data/kitti_raw_2011_09_26"
MATRIX = np.array([[721.5377, 0, 609.5593], [0, 721.5377, 172.8540], [0, 0, 1]])
CAMERA_FROM_LIDAR = np.array(
    [
        [7.533745e-03, -9.999714e-01, -6.166020e-04, -4.069766e-03],
        [1.480249e-02, 7.280733e-04, -9.998902e-01, -7.631618e-02],
        [9.998621e-01, 7.523790e-03, 1.480755e-02, -2.717806e-01],
    ]
)
RECTIFIED = np.array(
    [
        [9.999239e-01, 9.837760e-03, -7.445048e-03],
        [-9.869795e-03, 9.999421e-01, -4.278459e-03],
        [7.402527e-03, 4.351614e-03, 9.999631e-01],
    ]
)
BASELINE = 44.857 / 721.5377
"""Metres from the colour camera to the one whose axes the calibration gives."""


class KittiRaw(Dataset):
    """The drive as a dataset without poses."""

    title = "KITTI raw"
    sources = frozenset({"video", "lidar"})
    camera_height = 1.65
    """Metres above the road (Geiger et al., "Vision meets Robotics: The KITTI Dataset", IJRR 2013, figure 3)."""

    def __init__(self, root=FOLDER, step=1):
        super().__init__(root)
        files = sorted((root / "image_02").glob("*.jpg"))[::step]
        self.scans = {int(path.stem): path for path in sorted((root / "velodyne_points").glob("*.bin"))}
        frames = tuple(Frame(id=path.stem, image=path, labelled=int(path.stem) in self.scans) for path in files)
        self.drive = Scene(id="drive", frames=frames)

    def scenes(self, split):
        return [self.drive]

    def dense(self, frame):
        return None

    def image(self, frame):
        return np.asarray(Image.open(frame.image))

    def cameras(self, scene):
        return (Camera(intrinsics=MATRIX),) * len(scene.frames)

    def sweep(self, scene, index):
        """The LiDAR's points in the camera's axes, without pixels, so that nothing takes them for a depth image."""
        path = self.scans.get(int(scene.frames[index].id))
        if path is None:
            return None
        points = np.fromfile(path, np.float32).reshape(-1, 4)[:, :3].astype(np.float64)
        local = (points @ CAMERA_FROM_LIDAR[:, :3].T + CAMERA_FROM_LIDAR[:, 3]) @ RECTIFIED.T + (BASELINE, 0, 0)
        return Sweep(xyz=local, origin=np.zeros(3), in_world=False)

    def depth(self, index, size):
        """What the LiDAR measured at the pixels of a frame, infinite elsewhere."""
        sweep = self.sweep(self.drive, index)
        assert sweep is not None
        ahead = sweep.xyz[sweep.xyz[:, 2] > 1]
        column, row = np.round((ahead @ MATRIX.T)[:, :2] / ahead[:, 2:]).astype(int).T
        inside = (row >= 0) & (row < size[0]) & (column >= 0) & (column < size[1])
        result = np.full(size, np.inf)
        np.minimum.at(result, (row[inside], column[inside]), ahead[inside, 2])
        return result


def against_lidar(drive, cloud, placement):
    """AbsRel, the share within a factor of 1.25, the factor that was taken out, and how many points were compared."""
    found, measured = [], []
    for index, frame in enumerate(drive.drive.frames):
        camera, rows = placement.cameras[index], cloud.view(index)
        if not frame.labelled or camera is None or camera.world_from_camera is None:
            continue
        xyz = cloud.xyz[rows].astype(np.float64) + cloud.origin - camera.world_from_camera[:3, 3]
        depth = xyz @ camera.world_from_camera[:3, 2]
        there = drive.depth(index, drive.image(frame).shape[:2])[tuple(cloud.pixel[rows].T)]
        use = np.isfinite(there) & (depth > 0)
        found.append(depth[use])
        measured.append(there[use])
    both, true = np.concatenate(found), np.concatenate(measured)
    factor = float(np.median(true / both))
    ratio = factor * both / true
    return float(np.abs(ratio - 1).mean()), float((np.maximum(ratio, 1 / ratio) < 1.25).mean()), factor, len(true)

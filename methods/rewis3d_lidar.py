"""Rewis3d on what a range sensor measured, LiDAR or a depth camera, instead of a reconstruction."""

from wsss.methods import rewis3d


class Rewis3dLidar(rewis3d.Rewis3d):
    """Rewis3d, of which nothing differs but the source of the points. A sensor's confidence is 1 everywhere."""

    title = "Rewis3d, Real 3D"
    geometry = "sensor"

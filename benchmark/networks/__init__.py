"""The networks that the harness gives every method."""

from wsss.benchmark.networks.image import Attention, ImageNetwork, Prediction, has_attention, image_network
from wsss.benchmark.networks.points import PointNetwork, point_network

__all__ = [
    "Attention",
    "ImageNetwork",
    "PointNetwork",
    "Prediction",
    "has_attention",
    "image_network",
    "point_network",
]

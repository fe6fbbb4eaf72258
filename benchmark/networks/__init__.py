"""The networks that the harness gives every method."""

from wsss.benchmark.networks.image import ImageNetwork, Prediction, image_network

__all__ = ["ImageNetwork", "Prediction", "image_network"]

"""The networks that the harness gives every method."""

from wsss.benchmark.networks.image import Attention, ImageNetwork, Prediction, has_attention, image_network

__all__ = ["Attention", "ImageNetwork", "Prediction", "has_attention", "image_network"]

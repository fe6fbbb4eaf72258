"""Whether the image network's initial weights are on this disk. Nothing is fetched."""

from pathlib import Path

import segmentation_models_pytorch as smp

from wsss.benchmark.geometry import pretrained
from wsss.benchmark.spec import NetworkConfig


def missing(network: NetworkConfig) -> str | None:
    """Why the initial weights are not there, in one sentence; None if they are, or nobody can tell."""
    if network.weights in ("none", "packaged"):
        return None
    if network.weights != "imagenet":
        return None if Path(network.weights).is_file() else f"weights {network.weights!r}: no such file"
    entry = smp.encoders.encoders.get(network.encoder)  # timm's encoders, which have no entry, are its own to fetch
    if entry is None or "imagenet" not in entry["pretrained_settings"]:
        return None
    place = entry["pretrained_settings"]["imagenet"]
    hub = pretrained.package("huggingface_hub", "pip install huggingface_hub")
    if isinstance(hub.try_to_load_from_cache(place["repo_id"], "model.safetensors", revision=place["revision"]), str):
        return None
    return (
        f"ImageNet weights of {network.encoder} are not in the model hub's cache; `wsss run` fetches them where there "
        f"is a network, or: hf download {place['repo_id']} --revision {place['revision']}"
    )

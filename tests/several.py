"""What the processes of test_distributed.py do: functions that others can import, for one process and for two."""

from contextlib import suppress
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from toy import NETWORK, TRAIN, TRANSFORMER, batch, pixelwise_task, spec, toy
from toy_clouds import Scattered, driven
from toy_points import rows

from wsss.benchmark import IGNORE, Batch, Method, discovery, distributed
from wsss.benchmark.devices import fabric_of
from wsss.benchmark.evaluate import evaluate
from wsss.benchmark.geometry.cache import Clouds
from wsss.benchmark.geometry.sampling import Sampling
from wsss.benchmark.loader import TrainingSet
from wsss.benchmark.networks import image_network
from wsss.benchmark.networks.point_layers import DropPath
from wsss.benchmark.networks.points import point_network
from wsss.benchmark.networks.shared_norm import share_statistics
from wsss.benchmark.records import Counts, RunFolder
from wsss.benchmark.runner import build
from wsss.benchmark.spec import (
    EvalConfig,
    NetworkConfig,
    PointNetworkConfig,
    PointsConfig,
    RunSpec,
    from_plain,
    to_plain,
)
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.trainer import Runtime, train

CPU = torch.device("cpu")
CONFIG = replace(TRAIN, steps=3, batch=4, crop=(48, 64))
SAMPLING = Sampling(budget=100)
"""No more than fit into one patch of attention: the order in which voxels are cut into patches is drawn at random."""
JOINING = {"threshold": 0.3, "start": 0.0, "cross_start": 0.0, "ramp": 0.0}
"""Settings that let every term join at once, for the methods that have them."""
VARIANTS = {
    "ema by share": ("ema", {"gate": "share", "target": "soft", "per_class": True}),
    "ema with a training teacher": ("ema", {"teacher_mode": "train"}),
    "rewis3d by pairs and with sky": ("rewis3d", {"normalise": "pairs", "sky_teacher": True, "to_image": 0.5}),
    "rewis3d by sum": ("rewis3d", {"normalise": "none", "to_image": 0.01, "gate": "share"}),
    "gated_crf on unlabelled": ("gated_crf", {"receivers": "unlabelled", "start": 0.0}),
}
ENCODERS = {"torch's layers": NETWORK, "timm's layers": NetworkConfig(weights="none", channels=32)}
CASES = ("plain", "rank 1 without labels", "nobody with labels", "rank 1 without points")
KILLED_AT = 2

Arrays = dict[str, np.ndarray]
_Network = TypeVar("_Network", bound=torch.nn.Module)


def names() -> list[str]:
    """Every method, and some with settings that normalise in another way."""
    return [*discovery.names("methods"), *VARIANTS]


def config_of(name: str) -> tuple[Any, Any]:
    """The class and its settings."""
    method, settings = VARIANTS.get(name, (name, {}))
    cls = discovery.method(method)
    plain = to_plain(cls.Config())
    joining = {key: value for key, value in JOINING.items() if key in plain}
    return cls, from_plain(cls.Config, {**plain, **joining, **settings})


def still(network: _Network) -> _Network:
    """The same without random draws, which are others in each process."""
    for module in network.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.p = 0.0
        elif isinstance(module, DropPath):
            module.probability = 0.0
        elif hasattr(module, "drop_prob"):
            setattr(module, "drop_prob", 0.0)  # noqa: B010  (timm's)
    return network


def prepare(folder) -> None:
    """Make what processes read together."""
    dataset = toy(folder)
    for kind in ("scribbles", "full"):
        Supervision(dataset, kind, 0, folder / "labels").prepare()
    Clouds(dataset, Scattered(), folder / "points").prepare(dataset.scenes("train"))
    list(driven(folder).labelled("val"))


class Killed(Exception):
    """Stands for a kill at that moment."""


def made(name: str, folder) -> tuple[Method, RunSpec]:
    """A method with networks that draw nothing at random, and its run on Toy."""
    cls, config = config_of(name)
    points = None if cls.geometry is None else PointsConfig(sampling=SAMPLING)
    run = spec(
        method=cls.__module__.rpartition(".")[2], labels="full" if cls.supervision == "dense" else "scribbles",
        config=to_plain(config), network=TRANSFORMER, points=points,
        train=CONFIG,
    )  # fmt: skip
    method = build(cls, run, toy(folder))
    still(method)
    return method, run


def initial(name: str, folder) -> Arrays:
    """The state before the first step."""
    return thinned(made(name, folder)[0])


def thinned(method: Method) -> Arrays:
    """A part of every tensor of a method's state: all of it would take long to send."""
    return {key: value.numpy().ravel()[::7].copy() for key, value in method.state_dict().items()}


def trained(name: str, folder, place: str, stop: bool = False, runtime: Runtime | None = None) -> tuple[Arrays, Arrays]:
    """The state after a few steps on Toy, and the terms of each; with ``stop`` the run is cut."""
    dataset, (method, run) = toy(folder), made(name, folder)
    clouds = None
    if run.points is not None:
        clouds = Clouds(dataset, Scattered(), folder / "points")
        clouds.prepare(dataset.scenes("train"))
    labels = Supervision(dataset, run.labels, 0, folder / "labels")
    runtime = replace(runtime or Runtime(), device="cpu", checkpoint_seconds=0.0)
    training = TrainingSet(labels, CONFIG, 0, method.preparation(), clouds, SAMPLING)
    curve: dict[str, list[float]] = {}

    def on_step(step, steps, losses):
        if stop and step == KILLED_AT:
            raise Killed
        for term, value in losses.items():
            curve.setdefault(term, []).append(value)

    with suppress(Killed):
        train(method, training, run, RunFolder(folder / place), fabric_of(runtime, "32-true"), runtime, on_step)
    return thinned(method), {term: np.array(values) for term, values in curve.items()}


def part_of(whole: Batch) -> Batch:
    """This rank's images of a batch, with their points."""
    own = distributed.part(len(whole.image))
    mine = slice(own.start, own.stop)
    chosen = {field.name: getattr(whole, field.name) for field in fields(whole)}
    cut: dict[str, Any] = {key: value[mine] for key, value in chosen.items() if isinstance(value, torch.Tensor)}
    if whole.points is not None:
        points = rows(whole.points, (whole.points.image >= own.start) & (whole.points.image < own.stop))
        cut["points"] = replace(points, image=points.image - own.start)
    return replace(whole, **cut)


def case(name: str, points: bool) -> Batch:
    """A batch of two images; what stands in the name is true of the second."""
    given = batch(0, points=points)
    labels = given.labels.clone()
    if "labels" in name:
        labels[0 if name.startswith("nobody") else 1 :] = IGNORE
    there = given.points
    if there is not None and "labels" in name:
        unlabelled = torch.full_like(there.labels, IGNORE)
        there = replace(there, labels=torch.where(there.image >= name.startswith("rank"), unlabelled, there.labels))
    if there is not None and "points" in name:
        there = rows(there, there.image == 0)
    return replace(given, labels=labels, points=there)


def losses(name: str, which: str) -> tuple[Arrays, Arrays]:
    """The terms of the joined batch, and their gradients by all parameters."""
    cls, config = config_of(name)
    torch.manual_seed(0)
    method = cls(config, pixelwise_task(sharpness=30.0))
    if distributed.world() > 1:
        share_statistics(method, CPU)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in method.parameters():
            if not parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    terms = dict(method.losses(part_of(case(which, cls.geometry is not None)), 1.0))
    torch.stack(list(terms.values())).sum().backward()
    given = {path: p.grad if p.grad is not None else torch.zeros_like(p) for path, p in method.named_parameters()}
    gradients = {path: distributed.mean_of(gradient).numpy() for path, gradient in given.items()}
    return {term: distributed.mean_of(value.detach()).numpy() for term, value in terms.items()}, gradients


def cloud(empty: bool) -> Arrays:
    """Gradients and running statistics of a network of points after a batch; with ``empty`` rank 1 has no point."""
    network = point_network(PointNetworkConfig(), 3, 0).train()
    still(network)
    points = part_of(case("rank 1 without points" if empty else "plain", points=True)).points
    assert points is not None
    torch.manual_seed(0)
    logits = network(points.xyz, points.rgb, points.image)
    total = (logits.square() * torch.arange(1.0, 4.0)).sum()
    distributed.mean_over(total, torch.tensor(len(logits))).backward()
    made = {path: distributed.mean_of(p.grad).numpy() for path, p in network.named_parameters() if p.grad is not None}
    return made | {path: buffer.numpy().copy() for path, buffer in network.named_buffers()}


def pixels(config: NetworkConfig) -> Arrays:
    """Gradients and running statistics of a network of images whose encoder normalises by batches."""
    network = still(image_network(config, 3, 0)).double().train()  # so many layers would magnify rounding
    if distributed.world() > 1:
        share_statistics(network, CPU)
    images = torch.rand(4, 3, 96, 96, generator=torch.Generator().manual_seed(0)).double()
    mine = distributed.part(len(images))
    total = network(images[mine.start : mine.stop]).logits.square().sum()
    distributed.mean_over(total, torch.tensor(len(mine))).backward()
    made = {path: distributed.mean_of(p.grad).numpy() for path, p in network.named_parameters() if p.grad is not None}
    return made | {path: buffer.numpy().copy() for path, buffer in network.named_buffers()}


def nearest_color(image):
    """A predictor of Toy that errs: minus the distance to every class's colour, with noise that the picture makes."""
    colors = torch.tensor(toy_colors()).view(1, 3, 3, 1, 1) / 255
    return -20 * (image[:, None] - colors).square().sum(2) + 8 * (1000 * image).sin()


def toy_colors():
    from toy import Toy

    return Toy.classes.colors


def scored(folder) -> tuple[Counts, Arrays, list[int]]:
    """The counts of a split, the pictures that were kept, and how many images this rank told of."""
    told: list[int] = []
    predictors = {"a": nearest_color, "b": lambda image: -nearest_color(image)}
    keep = {"val0-0", "val1-1"}
    counts, kept = evaluate(predictors, driven(folder), EvalConfig(), CPU, keep, lambda done, total: told.append(total))
    return counts, kept, told


def everything(folder, tell) -> dict[str, Any]:
    """All that two processes are asked, so that they start but once."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for name in names():
        tell(name)
        for which in CASES:
            found[f"losses {name} {which}"] = losses(name, which)
        if name not in VARIANTS:
            found[f"trained {name}"] = trained(name, folder, f"two-{name}")
    for empty in (False, True):
        found[f"cloud {empty}"] = cloud(empty)
    for name, config in ENCODERS.items():
        found[f"pixels {name}"] = pixels(config)
    found["scored"] = scored(folder)
    found["told"] = [told for _, _, told in distributed.gathered(found["scored"])]
    found["goes on"] = trained("ema", folder, "one-then-two")
    trained("ema", folder, "two-then-one", stop=True)
    states = distributed.gathered(found["trained rewis3d"][0])
    found["same"] = all(np.array_equal(states[0][key], states[1][key]) for key in states[0])
    return found

"""What the trees of TEL do, as a figure: `python docs/figures/tree_energy.py CITYSCAPES OUT [STEPS]`.

Scribbles take the place of the class probabilities and spread along the tree of the colours, then along that of the
features too. ``CITYSCAPES`` is a folder in that dataset's format, ``OUT`` the figure's path without suffix, ``STEPS``
how long the network is trained for it: without training its features are those of random weights in the decoder.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from matplotlib.figure import Figure
from torch import Tensor

from wsss.benchmark import IGNORE, Batch, Dataset, Frame, UsageError, discovery
from wsss.benchmark.devices import fabric_of
from wsss.benchmark.loader import TrainingSet
from wsss.benchmark.records import RunFolder
from wsss.benchmark.report.pictures import overlay_weak, paint
from wsss.benchmark.report.style import hide_ticks, paper_style, render
from wsss.benchmark.runner import build
from wsss.benchmark.spec import RunSpec, to_plain
from wsss.benchmark.suites import QUICK
from wsss.benchmark.supervision import Supervision
from wsss.benchmark.trainer import Runtime, train
from wsss.methods.tel import TEL, Config

Ids = UInt8[np.ndarray, "h w"]
TITLES = ("Image", "Scribbles", "Colours' tree", "Both trees", "Ground truth")
FRAMES = 3


def trained(dataset: Dataset, steps: int) -> TEL:
    """TEL after so many steps on the dataset's scribbles, with the quick suite's network and schedule."""
    column = QUICK.columns[0]
    config = replace(column.train, steps=max(1, steps))
    spec = RunSpec(
        dataset=dataset.name, data="miniature", labels="scribbles", method="tel", seed=0,
        train=config, network=column.network, config=to_plain(Config()),
    )  # fmt: skip
    method = build(TEL, spec, dataset)
    assert isinstance(method, TEL)
    if steps:
        with tempfile.TemporaryDirectory() as folder:
            supervision = Supervision(dataset, "scribbles", 0, Path(folder) / "labels")
            supervision.prepare()
            training = TrainingSet(supervision, config, 0, method.preparation())
            fabric, runtime = fabric_of(Runtime(device="cpu"), "32-true"), Runtime(device="cpu")
            train(method, training, spec, RunFolder(Path(folder)), fabric, runtime, lambda *news: None)
    return method.eval()


@torch.no_grad()
def spread(method: TEL, image: UInt8[np.ndarray, "h w 3"], weak: Ids) -> tuple[Ids, Ids]:
    """Weak labels spread along the tree of the colours, and along both, on the grid of the logits."""
    classes, given = len(method.task.classes), torch.from_numpy(weak).long()[None]
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    batch = Batch(image=pixels, strong=pixels, labels=given, valid=torch.ones_like(given, dtype=torch.bool))
    prediction = method.student(pixels)
    one_hot = F.one_hot(torch.where(given == IGNORE, classes, given), classes + 1)[..., :classes]
    marks = prediction.pad(one_hot.permute(0, 3, 1, 2).double(), 0.0)  # far from all marks float32 has only 0
    marks = F.adaptive_avg_pool2d(marks, prediction.low.shape[-2:])

    def ids(features: Tensor | None) -> Ids:
        mass = method.propagate(marks, features, batch)
        shares = replace(prediction, low=mass / mass.sum(1, keepdim=True))
        return shares.logits[0].argmax(0).numpy().astype(np.uint8)

    return ids(None), ids(prediction.features)


def figure(method: TEL, dataset: Dataset, frames: list[Frame], steps: int) -> Figure:
    """One row per frame: image, scribbles, both propagations with their share of right pixels, ground truth."""
    colors = np.array(dataset.classes.colors, dtype=np.uint8)
    drawn = Figure(figsize=(7.2, 0.35 + 0.8 * len(frames)), layout="constrained")
    grid = drawn.subplots(len(frames), len(TITLES), squeeze=False)
    for axes, title in zip(grid[0], TITLES, strict=True):
        axes.set_title(title)
    for line, frame in zip(grid, frames, strict=True):
        image, truth, weak = dataset.image(frame), dataset.dense(frame), dataset.weak(frame, "scribbles", 0)
        if truth is None:
            raise UsageError(f"frame {frame.id} has no ground truth to compare with: choose a labelled one")
        guesses = spread(method, image, weak)
        pictures = [image, overlay_weak(image, weak, "scribbles", colors)]
        pictures += [paint(ids, colors) for ids in (*guesses, truth)]
        for axes, picture in zip(line, pictures, strict=True):
            axes.imshow(picture, interpolation="nearest")
            hide_ticks(axes)
        for axes, ids in zip(line[2:], guesses, strict=False):
            right = float((ids == truth)[truth != IGNORE].mean())
            axes.set_xlabel(f"{right:.0%} of pixels right", fontsize=6.5, labelpad=2)
    network = f"a network trained for {steps} steps" if steps else "a network whose decoder is untrained"
    drawn.supxlabel(f"No prediction: scribbles spread by the filters alone; features of {network}", fontsize=6.5)
    return drawn


def main(root: str, out: str, steps: str = "0") -> None:
    """Write OUT.png and OUT.pdf."""
    dataset = discovery.dataset("cityscapes")(Path(root))
    frames = [frame for _, frame in dataset.labelled("train")]
    chosen = [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, FRAMES).astype(int))]
    with paper_style():
        rendered = render(figure(trained(dataset, int(steps)), dataset, chosen, int(steps)))
    for suffix, data in rendered.items():
        Path(f"{out}.{suffix}").write_bytes(data)


if __name__ == "__main__":
    main(*sys.argv[1:])

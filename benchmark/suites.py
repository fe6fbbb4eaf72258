"""The grids, as Python values: which data, which labels, which schedule. Methods are whatever the folder holds.

Every number that a suite chooses stands here and is the same for all methods. Schedules were fixed before any
method was scored, from step times and training losses alone; nothing is chosen on the split that is reported.
"""

from dataclasses import replace
from typing import Any, Literal

from wsss.benchmark.errors import unknown_name
from wsss.benchmark.geometry.sampling import Sampling
from wsss.benchmark.grid import Column, Row, Suite
from wsss.benchmark.paper import PAPER
from wsss.benchmark.spec import PointNetworkConfig, PointsConfig, TrainConfig
from wsss.benchmark.types import WEAK_KINDS, WeakKind

FLOOR = "partial"
"""The method that every other is compared with; it opens every table."""


MINIATURE = "Miniature data: procedural scenes in the datasets' native formats, not the datasets themselves"


# Of the learning rates 5e-4 and 2e-3 the one with the lower training loss of the ceiling (0.64, 0.50 on Cityscapes).
# The numbers of steps are what fits: `quick` in twenty minutes on two cores, `miniature` in three hours; what points
# teach takes longer to show (docs/findings.md), so `ablations` train longer, on one dataset.
_RATE, _QUICK_STEPS, _MINIATURE_STEPS, _ABLATION_STEPS = 2e-3, 120, 240, 400
_QUICK_BUDGET, _MINIATURE_BUDGET = 1024, 2048


def _points(voxel: float, budget: int = 4096) -> PointsConfig:
    """What two cores can take: the paper has 120,000 points a sample and voxels of 5 cm."""
    return PointsConfig(sampling=Sampling(budget=budget), network=PointNetworkConfig(voxel=voxel))


def _miniatures(steps: int, budget: int, labels: dict[str, tuple[WeakKind, ...]] | None = None) -> tuple[Column, ...]:
    """A column per dataset, in the paper's order, with crops of half a picture or more; scribbles unless said.

    NYUv2 takes half as many steps again: its pictures are half as large, its classes twice as many. Voxels are two to
    three times as wide as the points of a training sample lie apart.
    """
    crops = {"waymo": (120, 160), "kitti360": (96, 192), "nyuv2": (96, 128), "cityscapes": (128, 192)}
    return tuple(
        Column(
            dataset=name,
            labels=(labels or {}).get(name, ("scribbles",)),
            train=TrainConfig(steps=steps * 3 // 2 if name == "nyuv2" else steps, crop=crop, lr=_RATE),
            points=_points(0.1 if name == "nyuv2" else 0.3, budget),
        )
        for name, crop in crops.items()
    )


SMOKE = Suite(
    name="smoke",
    title=f"{MINIATURE} (a few small images, to see that everything runs)",
    data="miniature",
    size="tiny",
    columns=tuple(
        replace(column, train=replace(column.train, steps=4, batch=2, crop=(48, 80)))
        for column in _miniatures(_QUICK_STEPS, _QUICK_BUDGET, {"cityscapes": ("scribbles", "points")})
    ),
    seeds=(0,),
)

QUICK = Suite(
    name="quick",
    title=MINIATURE,
    data="miniature",
    size="half",
    columns=_miniatures(_QUICK_STEPS, _QUICK_BUDGET),
    seeds=(0,),
    without=("gated_crf", "sasformer"),
)

FULL_MINIATURE = replace(
    QUICK,
    name="miniature",
    size="full",
    without=(),
    columns=_miniatures(
        _MINIATURE_STEPS,
        _MINIATURE_BUDGET,
        {"waymo": ("scribbles", "points"), "kitti360": ("scribbles", "points"), "cityscapes": WEAK_KINDS},
    ),
    seeds=(0, 1, 2),
)

CAMVID = Suite(
    name="camvid",
    title="Real images: CamVid, split by drive (train 0016E5 and 0001TP, scored on 0006R0), derived weak labels",
    data="real",
    columns=(
        Column(
            dataset="camvid",
            labels=("scribbles",),
            train=TrainConfig(steps=400, crop=(192, 256)),
            points=_points(voxel=0.3),
        ),
    ),
    seeds=(0, 1, 2),
)

_ABLATED = _points(0.3, _MINIATURE_BUDGET)


def _sampled(kind: Literal["uniform", "alone"]) -> PointsConfig:
    return replace(_ABLATED, sampling=replace(_ABLATED.sampling, kind=kind))


def _without(name: str, title: str, **config: Any) -> Row:
    """Rewis3d with some fields of its Config changed."""
    return Row(name=name, method="rewis3d", title=title, config=config)


def _seeing(name: str, title: str, points: PointsConfig) -> Row:
    """Rewis3d on other points."""
    return Row(name=name, method="rewis3d", title=title, points=points)


ABLATIONS = Suite(
    name="ablations",
    title=f"{MINIATURE}: what Rewis3d owes to its parts",
    data="miniature",
    columns=tuple(
        replace(column, train=replace(column.train, steps=_ABLATION_STEPS))
        for column in _miniatures(_MINIATURE_STEPS, _MINIATURE_BUDGET)
        if column.dataset == "kitti360"
    ),
    seeds=(0, 1, 2),
    rows=(
        Row(name="ema", method="ema"),
        Row(name="rewis3d", method="rewis3d"),
        _without("no_confidence", "Rewis3d, every pair alike", confidence="none"),
        _without("prediction", "Rewis3d, prediction's confidence alone", confidence="prediction"),
        _without("reconstruction", "Rewis3d, reconstruction's confidence alone", confidence="reconstruction"),
        _without("raw", "Rewis3d, reconstruction's confidence as it is", reconstruction_scale="raw"),
        _without("to_image", "Rewis3d, points teach pixels only", to_points=0.0),
        _without("to_points", "Rewis3d, pixels teach points only", to_image=0.0),
        _without("apart", "Rewis3d, neither teaches the other", to_image=0.0, to_points=0.0),
        _seeing("uniform", "Rewis3d, points of the whole scene alike", _sampled("uniform")),
        _seeing("alone", "Rewis3d, the view's own points alone", _sampled("alone")),
        _seeing("truth", "Rewis3d, true depth", replace(_ABLATED, geometry="truth")),
        Row(name="rewis3d_lidar", method="rewis3d_lidar"),
        Row(name="full", method="full"),
    ),
)

SUITES = {suite.name: suite for suite in (SMOKE, QUICK, FULL_MINIATURE, CAMVID, ABLATIONS, PAPER)}


def suite(name: str) -> Suite:
    """The suite of that name.

    Raises:
        UsageError: There is none.
    """
    if name not in SUITES:
        raise unknown_name("suite", name, SUITES)
    return SUITES[name]

"""Every figure of a report with its title and caption, in the order of the page."""

from collections.abc import Iterator

from matplotlib.figure import Figure

from wsss.benchmark.intervals import ALPHA
from wsss.benchmark.report import gains, gallery, measured, plots, qualitative
from wsss.benchmark.report.captions import data_sentence, protocol
from wsss.benchmark.report.page import Picture
from wsss.benchmark.report.results import FEW_IMAGES, Column, Results
from wsss.benchmark.report.style import paper_style, render

INSET = (
    "The inset magnifies the window, framed in white, a fifth as wide and high as the picture, in which the methods "
    "disagree most: the largest sum over annotated pixels of the share of methods that are not of the majority's "
    "opinion; the uppermost and leftmost of equal ones."
)
FRAME = (
    "Frames are evenly spaced over the split, whatever the results; shown is the middle one, of the smallest finished "
    "seed. The legend has the classes that fill at least 0.2 % of a picture."
)
QUALITATIVE = f"Fixed frames, smallest finished seed. Weak labels are grown to be seen. {INSET}"
ERRORS = (
    "Weak labels, grown to be seen; what the floor predicts; and per method where it is right, wrong, or where nobody "
    "annotated the truth, with the share of right pixels among those annotated."
)
GAINS = (
    "Paired differences with their 95 % interval, in points. Pale bars are not significant: corrected by Holm within a "
    f"dataset and kind of labels, p is not below {ALPHA}."
)
CURVES = "Weighted terms as minimised, lightly smoothed, and the learning rate. Thin: single seeds; thick: their mean."
BOUNDARIES = (
    "Above: Boundary IoU (Cheng et al., 2021), over the pixels of each mask within a width of its contour. Below: mIoU "
    "over the pixels within a width of a boundary between two annotated classes."
)
RANGES = (
    "The mIoU of the pixels in each bin of distance, over the classes that occur in it: bins hold different classes, "
    "so compare methods, not bins."
)
RELIABILITY = (
    "Accuracy of predictions in 15 equal bins of probability, a mean over seeds with its 95 % interval; below the "
    "diagonal a method is too sure of itself. Bins with fewer than 100 pixels are left out."
)
GALLERY = (
    "A training frame of every dataset: of a fixed sample the one that shows the most classes. Depth and confidence "
    "(its rank in the frame) of the points that the frame saw, grey where it has none; then points around it, from "
    "behind and above the camera, in the colours of the images and by the annotation of their pixel, which training "
    "sees only where it has weak labels; and the same of the range sensor, where its points were used."
)

Planned = tuple[str, str, str, Figure | None]
"""Name, title, caption and figure; None where there is nothing to draw."""


def all_figures(results: Results) -> list[Picture]:
    """Every figure that the suite has numbers or pictures for, rendered.

    Raises:
        BenchmarkError: A stored file is damaged.
    """
    with paper_style(str(results.plan)):
        return [
            Picture(name=name, title=title, caption=text, files=render(figure))
            for name, title, text, figure in _planned(results)
            if figure is not None
        ]


def _planned(results: Results) -> Iterator[Planned]:
    scored, data = protocol(results, results.columns), data_sentence(results)
    lines = "Dotted: the floor; dashed: dense labels."
    yield "summary", "Mean IoU of every method", f"{lines} {scored}", plots.summary(results)
    yield "gains", "What each method adds", f"{GAINS} {scored}", gains.gains(results)
    yield "qualitative", "Predictions", f"{FRAME} {INSET} {data}", qualitative.comparison(results)
    yield "errors", "Weak labels and errors", f"{ERRORS} {FRAME} {INSET} {data}", qualitative.mistakes(results)
    for name in results.plan.datasets:
        figure = qualitative.qualitative(results, name)
        yield f"qualitative-{name}", f"Predictions: {results.dataset_title(name)}", f"{QUALITATIVE} {data}", figure
    yield "boundary", "Boundaries", f"{BOUNDARIES} {scored}", measured.boundaries(results)
    yield "ranges", "Distance", f"{RANGES} {scored}", measured.ranges(results)
    yield "reliability", "Calibration", f"{RELIABILITY} {scored}", measured.reliability(results)
    yield "gallery", "Reconstructed points", f"{GALLERY} {data}", gallery.gallery(results)
    for column in results.columns:
        text = f"Sorted by the method with dense labels; grey: fewer than {FEW_IMAGES} images."
        title, figure = f"IoU per class: {results.title(column)}", plots.per_class(results, column)
        yield f"per_class-{_name(column)}", title, f"{text} {protocol(results, [column])}", figure
    for name in results.plan.datasets:
        title = f"Loss terms: {results.dataset_title(name)}"
        yield f"curves-{name}", title, f"{CURVES} {data}", plots.curves(results, name)


def _name(column: Column) -> str:
    return f"{column.dataset}-{column.labels}"

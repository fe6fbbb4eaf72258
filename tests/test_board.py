"""TensorBoard's files, read back by TensorBoard: curves without gaps or doubles, pictures, and every way to end."""

import builtins
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy import SIZE, toy

from wsss.benchmark.board import FOLDER, Board, predictions, require
from wsss.benchmark.errors import BenchmarkError, UsageError

accumulators = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="the package tensorboard is not installed"
)
BATCH = 4
GITIGNORE = Path(__file__).parents[1] / ".gitignore"


def read(folder):
    """Everything that lies in a run's board."""
    found = accumulators.EventAccumulator(str(folder / FOLDER), {"scalars": 0, "images": 0, "tensors": 0})
    return found.Reload()


def curve(folder, tag):
    """Steps and values of one curve."""
    events = read(folder).Scalars(tag)
    return [event.step for event in events], [event.value for event in events]


def loop(board, steps, first=1, last=None, value=1.0):
    """Training's side: a row of the curve per step."""
    for step in range(first, (last or steps) + 1):
        board.scalars(step, steps, {"supervised": value / step, "total": 2 * value / step}, 1e-3 / step)


def test_every_term_the_rate_and_the_speed_are_drawn(tmp_path):
    with Board(tmp_path, BATCH) as board:
        loop(board, 5)
    steps = list(range(1, 6))
    for tag, numerator in (("loss/supervised", 1), ("loss/total", 2), ("training/learning_rate", 1e-3)):
        assert curve(tmp_path, tag) == (steps, pytest.approx([numerator / step for step in steps]))
    assert curve(tmp_path, "training/progress") == (steps, pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0]))
    told, speed = curve(tmp_path, "training/images_per_second")
    assert told == steps[1:] and min(speed) > 0


def test_a_term_that_joins_late_begins_where_it_joins(tmp_path):
    with Board(tmp_path, BATCH) as board:
        board.scalars(1, 2, {"supervised": 1.0, "total": 1.0}, 0.1)
        board.scalars(2, 2, {"supervised": 1.0, "consistency": 0.5, "total": 1.5}, 0.1)
    assert curve(tmp_path, "loss/consistency") == ([2], [0.5])


@pytest.mark.parametrize("clock", ["forwards", "backwards"])
def test_a_resumed_run_goes_on_without_doubled_points(tmp_path, clock):
    with Board(tmp_path, BATCH) as board:
        loop(board, 10, last=6, value=1.0)  # killed at 6, its checkpoint is of 4
    if clock == "backwards":
        (file,) = (tmp_path / FOLDER).iterdir()
        file.rename(file.with_name("events.out.tfevents.4000000000.host.1.0"))
    with Board(tmp_path, BATCH) as board:
        loop(board, 10, first=5, last=8, value=7.0)
    with Board(tmp_path, BATCH) as board:
        loop(board, 10, first=8, value=3.0)
    values = [1 / s for s in range(1, 5)] + [7 / s for s in range(5, 8)] + [3 / s for s in range(8, 11)]
    assert curve(tmp_path, "loss/supervised") == (list(range(1, 11)), pytest.approx(values))


def test_a_run_that_starts_anew_leaves_nothing_of_the_old_one(tmp_path):
    with Board(tmp_path, BATCH) as board:
        loop(board, 10, value=1.0)
        board.images(10, {"frame": np.zeros((8, 8, 3), np.uint8)})
    with Board(tmp_path, BATCH) as board:
        loop(board, 10, last=3, value=7.0)
    assert curve(tmp_path, "loss/supervised") == ([1, 2, 3], pytest.approx([7, 3.5, 7 / 3]))
    assert not read(tmp_path).Images("predictions/frame")


def test_what_a_kill_cut_short_does_not_stop_the_next(tmp_path):
    with Board(tmp_path, BATCH) as board:
        loop(board, 10, last=4)
    (file,) = (tmp_path / FOLDER).iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    with Board(tmp_path, BATCH) as board:
        loop(board, 10, first=4)
    assert curve(tmp_path, "training/progress") == (list(range(1, 11)), pytest.approx([s / 10 for s in range(1, 11)]))


def test_pictures_stand_beside_the_curve_and_are_replaced_by_a_second_scoring(tmp_path):
    with Board(tmp_path, BATCH) as board:
        loop(board, 3)
        board.images(3, {"a": np.full((8, 9, 3), 10, np.uint8), "b": np.full((5, 6, 3), 20, np.uint8)})
    with Board(tmp_path, BATCH) as board:  # killed before it was done: training is not repeated, scoring is
        board.images(3, {"a": np.full((8, 9, 3), 30, np.uint8), "b": np.full((5, 6, 3), 40, np.uint8)})
    assert curve(tmp_path, "loss/total")[0] == [1, 2, 3]
    found = read(tmp_path)
    assert sorted(found.Tags()["images"]) == ["predictions/a", "predictions/b"]
    (shown,) = found.Images("predictions/a")
    picture = np.asarray(Image.open(io.BytesIO(shown.encoded_image_string)))
    assert shown.step == 3 and picture.shape == (8, 9, 3) and (picture == 30).all()


@pytest.mark.parametrize("kind", ["scribbles", "full"])
def test_a_sheet_shows_picture_labels_prediction_and_truth_in_the_datasets_colours(tmp_path, kind):
    dataset = toy(tmp_path)
    (_, first), (_, second), *_ = dataset.labelled("val")
    predicted = {first.id: np.full(SIZE, 2, np.uint8)}
    sheets = predictions(dataset, [first, second], predicted, kind, seed=0)
    assert list(sheets) == [first.id]
    sheet, (height, width) = sheets[first.id], SIZE
    panels = 4 if kind == "scribbles" else 3
    gap = (sheet.shape[1] - panels * width) // (panels - 1)
    assert sheet.shape[1] == panels * width + (panels - 1) * gap and gap > 0
    lefts = [place * (width + gap) for place in range(panels)]
    image, dense = dataset.image(first), dataset.dense(first)
    assert dense is not None
    top = next(row for row in range(sheet.shape[0]) if np.array_equal(sheet[row : row + height, :width], image))
    assert top > 10 and (sheet[:top, :width] < 128).any()  # a name stands above
    prediction, truth = (sheet[top : top + height, left : left + width] for left in lefts[-2:])
    assert (prediction == dataset.classes.colors[2]).all()
    known = dense < len(dataset.classes)
    assert np.array_equal(truth[known], np.array(dataset.classes.colors, np.uint8)[dense[known]])
    below = sheet[top + height :].reshape(-1, 3)
    for color in dataset.classes.colors:  # the legend
        assert (below == color).all(1).sum() > 50
    if kind == "scribbles":
        weak = sheet[top : top + height, lefts[1] : lefts[1] + width]
        assert not np.array_equal(weak, truth) and not np.array_equal(weak, image)


def test_closing_is_safe_in_every_state(tmp_path):
    with Board(tmp_path / "unused", BATCH):
        pass
    assert not (tmp_path / "unused").exists()
    board = Board(tmp_path, BATCH)
    with board:
        loop(board, 4, last=2)
    board.__exit__(None, None, None)
    with pytest.raises(ZeroDivisionError), board:
        loop(board, 4, first=3, last=3)
        raise ZeroDivisionError
    assert curve(tmp_path, "loss/total")[0] == [1, 2, 3]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / FOLDER).write_text("in the way")
    with (
        pytest.raises(BenchmarkError, match=r"board cannot be written .* without --tensorboard"),
        Board(tmp_path, BATCH) as board,
    ):
        loop(board, 1)
    with pytest.raises(BenchmarkError, match="cannot be written"), Board(tmp_path, BATCH) as board:
        board.images(1, {"a": np.zeros((4, 4, 3), np.uint8)})


def test_without_the_package_one_sentence_names_the_extra(tmp_path, monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name.partition(".")[0] == "tensorboard":
            raise ModuleNotFoundError("No module named 'tensorboard'")
        return real(name, *rest)

    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", absent)
    for ask in (require, lambda: Board(tmp_path, BATCH)):
        with pytest.raises(UsageError, match=r"pip install 'wsss-benchmark\[watch\]'") as found:
            ask()
        assert "\n" not in str(found.value)


def test_event_files_are_never_committed():
    assert f"{FOLDER}/" in GITIGNORE.read_text("utf-8").splitlines()

"""Labels must follow every scale, crop and flip of the image, and both views must share their geometry."""

from dataclasses import replace

import pytest
import torch
from toy import TRAIN

from wsss.benchmark import IGNORE
from wsss.benchmark.augment import FARTHEST, HOLE, Augment, moved_about

H, W = 40, 60
CALM = replace(TRAIN, crop=(32, 32), jitter=0.0, cutout=0.0, scale=(0.75, 2.0))


def coordinates():
    """An image whose red and green spell the row and column of every pixel, smooth enough to survive resizing."""
    rows, columns = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    return torch.stack([rows * 6, columns * 4, torch.zeros(H, W, dtype=torch.long)]).to(torch.uint8)


def augmented(labels, *, points, step, config=CALM):
    void = torch.zeros(H, W, dtype=torch.bool)
    return Augment(config, 0)(coordinates(), labels, void, points=points, step=step, position=0)


@pytest.mark.parametrize("step", range(40))
def test_a_marked_pixel_is_found_under_its_own_colour(step):
    labels = torch.full((H, W), IGNORE, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(step)
    marks = torch.randint(0, H, (12,), generator=generator), torch.randint(0, W, (12,), generator=generator)
    labels[marks] = torch.arange(12, dtype=torch.uint8)
    views = augmented(labels, points=True, step=step)
    rows, columns = torch.nonzero(views.labels != IGNORE, as_tuple=True)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        mark = int(views.labels[row, column])
        red, green = (views.image[:2, row, column] * 255).tolist()
        # Half a pixel of the target plus the border that resizing blurs.
        assert abs(red / 6 - marks[0][mark]) <= 1.0 and abs(green / 4 - marks[1][mark]) <= 1.0


def test_most_points_inside_the_crop_survive_downscaling():
    labels = torch.full((H, W), IGNORE, dtype=torch.uint8)
    labels[2::8, 2::8] = 1
    config = replace(CALM, scale=(0.75, 0.75), crop=(30, 45))  # the whole image
    assert int((augmented(labels, points=True, step=0, config=config).labels == 1).sum()) == int((labels == 1).sum())


@pytest.mark.parametrize("step", range(20))
def test_mask_labels_lie_on_the_pixels_they_were_given_for(step):
    left_half = torch.arange(W).expand(H, W) < W // 2
    labels = torch.where(left_half, 0, 1).to(torch.uint8)
    views = augmented(labels, points=False, step=step)
    column = views.image[1] * 255 / 4
    inside = views.valid & (column - W / 2).abs().gt(1.5)
    expected = torch.where(column < W / 2, 0, 1)
    assert bool((views.labels[inside] == expected[inside]).all())


def test_padding_is_neither_labelled_nor_valid_and_void_is_not_valid():
    labels = torch.zeros(H, W, dtype=torch.uint8)
    void = torch.zeros(H, W, dtype=torch.bool)
    void[:, :10] = True
    config = replace(CALM, scale=(1.0, 1.0), crop=(H + 20, W + 20))
    views = Augment(config, 0)(coordinates(), labels, void, points=False, step=0, position=0)
    assert int(views.valid.sum()) == H * (W - 10)
    assert int((views.labels != IGNORE).sum()) == H * W
    assert bool((views.image[:, views.labels == IGNORE] == 0).all())


def test_labels_under_the_hole_are_forgotten_and_only_the_strong_view_has_one():
    labels = torch.zeros(H, W, dtype=torch.uint8)
    views = augmented(labels, points=False, step=3, config=replace(CALM, cutout=0.5, scale=(1.5, 1.5)))
    hole = (views.strong == HOLE).all(0)
    assert int(hole.sum()) >= 16 * 16
    assert bool((views.labels[hole] == IGNORE).all())
    assert int((views.image == HOLE).all(0).sum()) < 16


def test_draws_depend_on_seed_step_and_position_alone():
    labels = torch.zeros(H, W, dtype=torch.uint8)
    config = replace(TRAIN, scale=(0.75, 2.0))

    def strong(seed, step, position):
        void = torch.zeros(H, W, dtype=torch.bool)
        augment = Augment(config, seed)
        return augment(coordinates(), labels, void, points=False, step=step, position=position).strong

    before = torch.random.get_rng_state()
    first = strong(0, 5, 1)
    assert torch.equal(before, torch.random.get_rng_state()), "the global stream moved"
    torch.manual_seed(123)
    assert torch.equal(first, strong(0, 5, 1))
    for other in ((1, 5, 1), (0, 6, 1), (0, 5, 2)):
        assert not torch.equal(first, strong(*other))


def test_a_student_sees_points_turned_scaled_mirrored_and_jittered():
    xyz = torch.randn(400, 3, generator=torch.Generator().manual_seed(0)) * 5
    stretched, turned, mirrored = [], 0, 0
    for seed in range(60):
        torch.manual_seed(seed)
        moved = moved_about(xyz)
        assert moved.shape == xyz.shape and moved.dtype == xyz.dtype
        fit = torch.linalg.lstsq(xyz, moved).solution.T  # the linear part; the jitter averages out
        assert bool(((moved - xyz @ fit.T).abs() < FARTHEST + 0.01).all())
        scale = float(fit[2, 2])
        assert 0.89 < scale < 1.11 and bool((fit[2, :2].abs() < 0.01).all()) and bool((fit[:2, 2].abs() < 0.01).all())
        torch.testing.assert_close(fit.T @ fit, scale**2 * torch.eye(3), atol=0.01, rtol=0)  # no shear
        stretched.append(scale)
        turned += int(abs(float(fit[0, 1])) > 0.01)
        mirrored += int(torch.linalg.det(fit) < 0)
    assert 15 < turned < 45 and 15 < mirrored < 45 and max(stretched) - min(stretched) > 0.1

"""The Gated CRF loss against a double loop over pairs of cells, its gradient, its gates and its options."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from toy import NETWORK, Toy, batch, pixelwise_task

from wsss.benchmark import IGNORE, Batch, Task, UsageError
from wsss.benchmark.networks import Prediction, image_network
from wsss.methods.gated_crf import MIXTURE, UNLABELLED, Config, GatedCRF, gated_crf


def grid(rows=5, columns=7, images=2, classes=3, seed=0):
    """Probabilities, colours and two gates on a small grid, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    p = torch.randn(images, classes, rows, columns, generator=generator, dtype=torch.double).softmax(1)
    colours = 0.2 * torch.rand(images, 3, rows, columns, generator=generator, dtype=torch.double)
    senders, receivers = (torch.rand(images, rows, columns, generator=generator) > share for share in (0.2, 0.4))
    return p, colours, senders, receivers


def by_pairs(p, colours, senders, receivers, config):
    """The energy as it is written: for every receiver over every sender of its window."""
    images, _, rows, columns = p.shape
    cells = [(y, x) for y in range(rows) for x in range(columns)]
    total = 0.0
    for b in range(images):
        for y, x in (cell for cell in cells if receivers[b, *cell]):
            for v, u in (cell for cell in cells if senders[b, *cell] and cell != (y, x)):
                if max(abs(v - y), abs(u - x)) > config.radius:
                    continue
                colour = float((colours[b, :, y, x] - colours[b, :, v, u]).square().sum())
                place = math.exp(-((v - y) ** 2 + (u - x) ** 2) / (2 * config.sigma_xy**2))
                kernel = place * (config.appearance * math.exp(-colour / (2 * config.sigma_rgb**2)) + config.smoothness)
                total += kernel * (1 - float(p[b, :, y, x] @ p[b, :, v, u]))
    return total / max(1, int(receivers.sum()))


@pytest.mark.parametrize(
    "config", [Config(), MIXTURE, Config(radius=2, sigma_xy=1.5, sigma_rgb=0.05), Config(radius=9)]
)
@pytest.mark.parametrize("size", [(5, 7), (1, 6), (4, 1), (1, 1)])
def test_equals_the_double_loop(config, size):
    p, colours, senders, receivers = grid(*size)
    expected = by_pairs(p, colours, senders, receivers, config)
    assert float(gated_crf(p, colours, senders, receivers, config)) == pytest.approx(expected, abs=1e-12)
    single = gated_crf(p.float(), colours.float(), senders, receivers, config)
    assert float(single) == pytest.approx(expected, abs=1e-6)


def test_gradient_is_that_of_the_energy():
    p, colours, senders, receivers = grid(4, 5)
    p.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: gated_crf(p, colours, senders, receivers, MIXTURE), (p,))


def test_a_cell_that_neither_sends_nor_receives_has_no_part():
    p, colours, senders, receivers = grid()
    shut = ~senders & ~receivers
    assert shut.any() and not shut.all()
    p.requires_grad_()
    before = gated_crf(p, colours, senders, receivers, MIXTURE)
    before.backward()
    assert p.grad is not None
    silent = shut[:, None].expand_as(p)
    assert not p.grad[silent].any() and p.grad[~silent].all()
    other = torch.where(silent, p.detach().roll(1, 1), p.detach())
    assert torch.equal(
        gated_crf(other, torch.where(shut[:, None], 1 - colours, colours), senders, receivers, MIXTURE), before
    )


def test_one_class_costs_nothing_and_an_edge_costs_less_where_colours_change():
    everywhere = torch.ones(1, 6, 8, dtype=torch.bool)
    colours = torch.zeros(1, 3, 6, 8)
    colours[..., 4:] = 1.0

    def split(column):
        """The energy of two classes that meet at a column."""
        p = F.one_hot((torch.arange(8) >= column).long(), 2).T[None, :, None].expand(1, 2, 6, 8).float()
        return float(gated_crf(p, colours, everywhere, everywhere, Config()))

    assert split(0) == split(8) == 0
    assert 0 <= split(4) < 1e-6 < 1 < min(split(3), split(5))


def energy(config, given=None):
    method = GatedCRF(config, pixelwise_task(sharpness=20.0))
    given = batch(size=(48, 64)) if given is None else given
    smooth = F.avg_pool2d(given.image, 9, 1, 4)
    return float(method.energy(method.student(given.strong), replace(given, image=smooth)).detach())


@pytest.mark.parametrize("change", [
    {"stride": 2}, {"radius": 3}, {"sigma_xy": 2.0}, {"sigma_rgb": 0.3}, {"appearance": 0.5}, {"smoothness": 0.1},
])  # fmt: skip
def test_every_option_changes_the_energy(change):
    assert energy(Config(**change)) != pytest.approx(energy(Config()), rel=1e-3)


def test_receivers_may_be_the_unlabelled_cells_alone():
    given = batch(size=(48, 64))
    labels = torch.full_like(given.labels, IGNORE)
    labels[:, :, :30] = 1
    some = replace(given, labels=labels)
    assert energy(UNLABELLED, some) != pytest.approx(energy(Config(), some), rel=1e-3)
    assert energy(UNLABELLED, replace(given, labels=torch.full_like(labels, IGNORE))) == energy(Config(), given)
    assert energy(UNLABELLED, replace(given, labels=torch.ones_like(labels))) == 0


def test_joins_after_its_start_with_its_weight():
    method = GatedCRF(Config(weight=0.3), pixelwise_task())
    assert set(method.losses(batch(), 0.005)) == {"supervised"}
    terms = method.losses(batch(), 0.006)
    assert torch.equal(terms["crf"], 0.3 * method.energy(method.student(batch().strong), batch()))


@pytest.mark.parametrize("stride", [3, 4, 8, 32])
def test_any_crop_and_stride_and_nothing_of_the_padding(stride):
    given = batch(size=(50, 71))
    method = GatedCRF(
        Config(stride=stride, smoothness=1.0),
        Task(classes=Toy.classes, image_network=lambda: image_network(NETWORK, 3, 0)),
    )
    prediction = method.eval().student(given.strong)
    assert prediction.padded != prediction.size
    low = prediction.low.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(method.energy(replace(prediction, low=low), given), low)
    assert gradient.any()
    cells = -(-max(stride, 4) // 4)
    assert not gradient[..., -(-71 // 4) :].any() and not gradient[..., -(-50 // 4) :, :].any()
    assert not gradient[..., (71 - 4) // 4 + cells :].any()


def test_half_precision_logits_are_compared_in_single():
    given = batch()
    method = GatedCRF(Config(), pixelwise_task())
    prediction = method.student(given.strong)
    half = replace(prediction, low=prediction.low.detach().bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        under = method.energy(half, given)
    assert under.dtype == torch.float32
    assert torch.equal(under, method.energy(replace(half, low=half.low.float()), given))


def test_two_labelled_cells_fill_the_regions_of_their_colour():
    """What the method is for: without the energy the labels stay where they are, with it they stop at the edge."""
    rows, columns, edge = 24, 40, 12
    truth = (torch.arange(columns) >= edge).long().expand(1, rows, columns)
    image = torch.where(truth[:, None] == 1, 0.8, 0.3).expand(1, 3, rows, columns)
    labels = torch.full_like(truth, IGNORE)
    labels[0, 12, 4], labels[0, 12, 36] = 0, 1
    given = Batch(image=image, strong=image, labels=labels, valid=torch.ones_like(labels, dtype=torch.bool))
    method = GatedCRF(Config(stride=1, weight=1.0), pixelwise_task())

    def accuracy(weight):
        low = torch.zeros(1, 2, rows, columns, requires_grad=True)
        optimiser = torch.optim.Adam([low], lr=0.1)
        for _ in range(150):
            prediction = Prediction(low, low, (rows, columns), (rows, columns))
            loss = F.cross_entropy(low, labels, ignore_index=IGNORE) + weight * method.energy(prediction, given)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return float((low.argmax(1) == truth).float().mean())

    assert accuracy(0.0) < 0.6
    assert accuracy(1.0) > 0.95


@pytest.mark.parametrize("wrong", [{"radius": 0}, {"stride": 0}, {"sigma_xy": 0.0}, {"sigma_rgb": -1.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(UsageError, match="gated_crf: radius, stride"):
        Config(**wrong)

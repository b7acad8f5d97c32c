"""The classifier on a face network's features: learnt from degraded faces, compared on the held-out ones."""

from io import StringIO

import torch
from rich.console import Console
from torch import Tensor

from tests.train.fit.test_loop import faces
from train.evaluate import classifier, measure, tables
from train.networks.face_features import Seen


def seen(images: Tensor) -> Seen:
    """A network that sees each channel's light alone."""
    return Seen([images[..., ::8, ::8]], images.mean((2, 3)))


def test_a_description_is_means_deviations_and_the_embedding() -> None:
    images = torch.rand(2, 3, 16, 16)
    assert classifier.described(seen(images)).shape == (2, 3 + 3 + 3)
    assert classifier.described(Seen([images])).shape == (2, 6)


def test_the_head_learns_what_can_be_distinguished() -> None:
    random = torch.Generator().manual_seed(0)
    labels = (torch.rand(400, 3, generator=random) < 0.5).float()
    head = classifier.fit_head(7 + 3 * (labels + 0.2 * torch.randn(400, 3, generator=random)), labels)
    assert classifier.scores(labels, head(7 + 3 * labels)) == {"macro": 1, "noise": 1, "blur": 1, "relight": 1}
    assert classifier.scores(labels, head(7 + 3 * (1 - labels)))["macro"] < 0.2


def test_both_are_asked_about_the_same_faces() -> None:
    many = faces(200)
    held = measure.held_out(many)

    def restore(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows = [int((held.degraded - image).abs().sum((1, 2, 3)).argmin()) for image in images]
        return images, images[:, :1], held.labels[rows]

    found = classifier.compare(seen, restore, measure.REFERENCE, many, 64, (3.0, 15.0))
    assert found.held_out == len(held)
    assert found.restorer["macro"] == 1
    assert 0 <= found.face_network["macro"] < 1
    Console(file=(out := StringIO()), width=120).print(tables.classifiers(found))
    assert "3.0 more" in out.getvalue()

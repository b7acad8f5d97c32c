"""Warping error of pictures whose motion and flicker are known."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from frrcam.faces.detector import FakeDetector
from frrcam.faces.types import Detection, Track
from train.evaluate import flicker

Image = NDArray[np.uint8]


def texture(side: int = 400) -> Image:
    noise = np.random.default_rng(0).integers(0, 255, (side // 8, side // 8, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def moving(step: int = 3, count: int = 4) -> list[Image]:
    large = texture()
    return [np.ascontiguousarray(large[20 : 20 + 336, 20 + step * i : 20 + step * i + 336]) for i in range(count)]


def clip(images: list[Image]) -> flicker.Clip:
    flows = [flicker.flow(a, b) for a, b in pairwise(images)]
    pictures = torch.from_numpy(np.stack(images)[..., ::-1].copy()).permute(0, 3, 1, 2).float() / 255
    return flicker.Clip("made", pictures, flows)


def unchanged(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return images, torch.ones(len(images), 1, *images.shape[2:]), torch.ones(len(images), 3)


def test_motion_alone_is_no_flicker() -> None:
    made = clip(moving())
    assert np.median(made.flows[0].source[100:200, 100:200, 0] - np.arange(100, 200)) == pytest.approx(3, abs=0.1)
    found = flicker.measure(unchanged, 336, made)
    assert torch.equal(found["whole"]["input"], found["whole"]["restored"])
    assert float(found["whole"]["input"].max()) < 4
    still = flicker.warping_errors(made.images, [standing(336)] * 3, torch.ones(4, 1, 336, 336))
    assert float(still.min()) > 20  # the same pictures without their flow


def test_what_was_not_there_before_does_not_count() -> None:
    before, after = moving(count=2)
    after[100:180, 100:180] = texture(80)
    between = flicker.flow(before, after)
    assert between.holds[20:80, 20:300].mean() > 0.95
    assert between.holds[110:170, 110:170].mean() < 0.5, "covered"
    assert between.holds[:, -2:].max() == 0, "come in from outside"
    pictures, everywhere = clip([before, after]).images, torch.ones(2, 1, 336, 336)
    held = float(flicker.warping_errors(pictures, [between], everywhere))
    assert (
        held
        < float(
            flicker.warping_errors(pictures, [flicker.Flow(between.source, np.ones_like(between.holds))], everywhere)
        )
        / 2
    )


def standing(side: int) -> flicker.Flow:
    place = np.stack(np.meshgrid(np.arange(side), np.arange(side)), 2).astype(np.float32)
    return flicker.Flow(place, np.ones((side, side), np.float32))


def test_a_restorer_that_pulses_flickers_by_as_much() -> None:
    made = clip([texture(336) // 2 + 60] * 5)
    calls = iter(range(100))

    def pulse(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        steps = torch.tensor([(next(calls) % 2) * 10 / 255 for _ in images])
        mask = torch.zeros(len(images), 1, 336, 336)
        mask[:, :, 50:200, 50:200] = 1
        return images + steps[:, None, None, None], mask, torch.ones(len(images), 3)

    found = flicker.measure(pulse, 336, made)
    for region in ("whole", "inside"):
        assert found[region]["input"].tolist() == pytest.approx([0] * 4, abs=1e-3)
        assert found[region]["restored"].tolist() == pytest.approx([10] * 4, abs=0.01)


def test_noise_that_a_small_crop_loses_flickers_no_more() -> None:
    """What lies between the pixels of a 160 px crop is noise too, where the network takes noise away."""
    random = np.random.default_rng(0)
    still = np.full((336, 336, 3), 120.0)
    made = clip([np.clip(still + random.normal(0, 12, still.shape), 0, 255).astype(np.uint8) for _ in range(3)])

    def flat(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return torch.full_like(images, 120 / 255), torch.ones(len(images), 1, 160, 160), torch.ones(len(images), 3)

    found = flicker.measure(flat, 160, made)["whole"]
    assert float((found["restored"] / found["input"]).max()) < 0.3


class Scripted:
    """A tracker that gives one face for as long as there are detections, and another one once."""

    def __init__(self) -> None:
        self.calls = 0

    def update(self, image: Image, timestamp: float, detections: list[Detection] | None) -> list[Track]:
        self.calls += 1
        found = [Track(1, one.box, one.points, 1.0, True) for one in detections or []]
        other = [Track(2, (0, 0, 5, 5), one.points + 40, 1.0, True) for one in (detections or [])[:1]]
        return found + (other if self.calls == 1 else [])


POINTS = np.array([(150, 170), (230, 170), (190, 215), (155, 250), (225, 250)], np.float32)


def test_the_face_followed_longest_is_aligned() -> None:
    def pictures() -> Iterator[tuple[Image, float]]:
        for index in range(3):
            yield texture(), index / 30

    detector = FakeDetector([Detection((120, 120, 260, 280), 0.9, POINTS)])
    crops = flicker.aligned(pictures(), detector, Scripted())
    assert [crop.shape for crop in crops] == [(336, 336, 3)] * 3
    assert flicker.aligned(pictures(), FakeDetector(), Scripted()) == []


def test_a_clip_is_read(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (400, 400))
    for _ in range(4):
        writer.write(texture())
    writer.release()
    assert [time for _, time in flicker.frames(path, 3)] == pytest.approx([0, 0.1, 0.2])
    made = flicker.prepare(path, FakeDetector([Detection((120, 120, 260, 280), 0.9, POINTS)]), Scripted(), 3)
    assert made is not None
    assert (made.name, len(made.images), len(made.flows)) == ("clip", 3, 2)
    assert flicker.prepare(path, FakeDetector(), Scripted(), 3) is None
    (tmp_path / "none.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match="shows no picture"):
        next(flicker.frames(tmp_path / "none.mp4", 3))

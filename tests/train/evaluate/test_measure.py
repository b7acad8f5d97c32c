"""Evaluation with restorers whose scores are known, and the sheets."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from train.common import metrics, statistics
from train.common.images import resize, write_image
from train.data.faces import Faces
from train.evaluate import dlib_identity, lpips, measure, page, report, sheets, tables
from train.fit import checkpoint
from train.networks.frrnet import FRRNet
from train.publish import measurements


@pytest.fixture(scope="module")
def faces() -> Faces:
    random = np.random.default_rng(0)
    small = random.integers(0, 255, (150, 5, 5, 3), np.uint8)
    canvases = np.stack([cv2.resize(image, (54, 54), interpolation=cv2.INTER_CUBIC) for image in small])
    return Faces(canvases, 48, tuple(f"face-{i}" for i in range(150)))


def unchanged(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return images, torch.ones(len(images), 1, *images.shape[2:]), torch.ones(len(images), 3)


def test_a_restorer_that_does_nothing_scores_what_its_input_does(faces: Faces) -> None:
    bare = measure.Bench(measure.held_out(faces, 2), None, draws=1)
    quality = measure.measure(unchanged, 336, bare).quality
    before, after = (quality[state]["whole"] for state in ("input", "restored"))
    assert len(after["psnr"]) == 2
    assert all(torch.equal(after[name], before[name]) for name in ("psnr", "ssim"))
    assert quality["clean"]["whole"]["psnr"].tolist() == [100, 100]


def test_the_pairs_are_always_the_same(faces: Faces) -> None:
    first, second = (measure.held_out_pairs(faces, 2) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert first[2].any(1).all()


def labelled(faces: Faces) -> Faces:
    masks = np.zeros((150, 54, 54), np.uint8)
    masks[:, 12:42, 12:42] = 255
    return Faces(faces.canvases, 48, faces.keys, masks)


class Embeds(measure.Identity):
    """Mean colours in place of a face network."""

    def __init__(self) -> None:
        pass

    def embed(self, images: Tensor) -> Tensor:
        return torch.nn.functional.normalize(resize(images, 4).flatten(1) - 0.5, dim=1)


def differs(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().mean((1, 2, 3))


@pytest.fixture(scope="module")
def bench(faces: Faces) -> measure.Bench:
    return measure.Bench(measure.held_out(labelled(faces)), Embeds(), {"lpips": differs}, draws=2)


def halfway(bench: measure.Bench) -> measure.Restorer:
    """A restorer that knows the answer: half of the error is gone, and the mask is the label."""

    def restore(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        held = bench.at(images.shape[-1])
        rows = [
            int(
                torch.minimum(
                    *((whole - image).abs().sum((1, 2, 3)) for whole in (held.degraded, held.target))
                ).argmin()
            )
            for image in images
        ]
        assert held.mask is not None
        return (images + held.target[rows]) / 2, held.mask[rows], held.labels[rows]

    return restore


def test_every_figure_of_a_restorer_that_is_half_right(bench: measure.Bench) -> None:
    measured = measure.measure(halfway(bench), 336, bench)
    before, after = (measured.quality[state] for state in ("input", "restored"))
    for region in ("whole", "inside"):
        assert torch.allclose(after[region]["psnr"], before[region]["psnr"] + 6.0206, atol=1e-3)
        assert bool((after[region]["ssim"] > before[region]["ssim"]).all())
        assert torch.allclose(after[region]["lpips"], before[region]["lpips"] / 2, atol=1e-5)
        assert bool((after[region]["identity"] >= before[region]["identity"] - 1e-6).all())
        assert {"iprecision", "irecall", "precision", "recall"} < after[region].keys()
        assert "embedding" not in after[region]
    assert measured.quality["shown"] is after
    assert bool((measured.quality["clean"]["whole"]["psnr"] > 99).all())
    assert measured.dice is not None
    assert all(values.tolist() == [1] * len(bench.held) for values in measured.dice.values())

    found = report.summarise("half.onnx", measured, bench, {}, {"lpips": "only a difference"})
    assert found.f1["macro"] == statistics.Figure(1, 1, 1, len(bench.held))
    assert found.notes.keys() == {"fid", "lpips", "flicker"}
    assert sum(group.faces for group in found.tones.values()) == len(bench.held)
    assert measurements.unpacked(json.loads(json.dumps(measurements.packed(found)))) == found
    Console(file=(out := StringIO()), width=200).print(tables.show(found))
    assert all(text in out.getvalue() for text in ("half.onnx", "iPrecision", "skin tan", "fid is not measured"))


def test_inside_the_mask_no_network_sees_the_outside(bench: measure.Bench) -> None:
    assert bench.held.mask is not None
    target, mask = bench.held.target[:1], bench.held.mask[:1].round()
    found = torch.where(mask > 0, target, 1 - target)
    quality = bench.compare(target, found, mask, bench.real(bench.held)[:1])
    assert float(quality["inside"]["lpips"]) == 0
    assert float(quality["inside"]["identity"]) == pytest.approx(1)
    assert float(quality["whole"]["lpips"]) > 0.01


def test_noise_that_a_smaller_restorer_takes_away_is_not_shown() -> None:
    noise = torch.randn(1, 3, 336, 336, generator=torch.Generator().manual_seed(1)) * 0.05
    picture = (0.5 + noise).clamp(0, 1)
    crop = resize(picture, 224)
    shown = measure.as_shown(picture, crop, torch.full_like(crop, 0.5))
    assert (shown - 0.5).square().mean() < 0.02 * noise.square().mean()


def test_a_smaller_restorer_is_shown_on_the_full_picture(bench: measure.Bench) -> None:
    measured = measure.measure(unchanged, 96, bench)
    # what is left as it was costs no detail, however small the crop
    shown, full = measured.quality["shown"]["whole"], bench.input(bench.held)["whole"]
    assert torch.allclose(shown["psnr"], full["psnr"], atol=1e-4)
    assert not torch.allclose(measured.quality["restored"]["whole"]["psnr"], full["psnr"], atol=0.1)


def test_without_labels_and_face_network_the_rest_is_measured(faces: Faces) -> None:
    bare = measure.Bench(measure.held_out(faces, 2), None, draws=1)
    measured = measure.measure(unchanged, 96, bare)
    assert measured.dice is None
    assert measured.quality["input"].keys() == {"whole"}
    assert measured.quality["input"]["whole"].keys() == {"psnr", "ssim"}
    found = report.summarise("bare", measured, bare, {}, {})
    assert {"inside", "iprecision"} < found.notes.keys()
    assert found.figure("restored", "lpips") is None
    assert found.figure("restored", "psnr", "inside") is None


def test_a_clip_without_a_mask_has_no_flicker_inside() -> None:
    some = {"input": torch.tensor([1.0, 2]), "restored": torch.tensor([1.5, 4])}
    none = {state: torch.full((2,), torch.nan) for state in some}
    clips = {"seen": {"whole": some, "inside": some}, "unseen": {"whole": some, "inside": none}}
    regions, by_clip = report.steadiness(clips)
    assert by_clip == {"seen": 1.25}
    excess = {name: statistics.known(figures["excess"]) for name, figures in regions.items()}
    assert {name: (figure.value, figure.count) for name, figure in excess.items()} == {
        "whole": (1.25, 4),
        "inside": (1.25, 2),
    }


def test_faces_by_distortion() -> None:
    labels = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 1]])
    rows = {name: own.tolist() for name, own in report.kinds(labels).items()}
    assert rows == {
        "noise": [0, 1],
        "noise alone": [0],
        "blur": [1],
        "blur alone": [],
        "relight": [2],
        "relight alone": [2],
    }


def test_every_face_is_degraded_alike_where_tones_are_compared(bench: measure.Bench) -> None:
    target = bench.held.target[:1].expand(3, -1, -1, -1)
    same = measure.Bench(replace(bench.held, target=target), None)
    first, other = (same.alike(draw).degraded for draw in (0, 1))
    assert all(torch.equal(face, first[0]) for face in first)
    assert not torch.equal(first, other)
    assert torch.equal(same.alike(0).degraded, first)
    assert bool((metrics.psnr(target, first) < 45).all())


def test_tones_are_compared_by_their_mean_over_the_same_degradations(bench: measure.Bench) -> None:
    found = measure.measure(unchanged, 336, bench).alike
    assert torch.equal(found["restored"], found["input"])
    slight = cv2.GaussianBlur(
        bench.held.target[0].permute(1, 2, 0).numpy(), (0, 0), 2.0, borderType=cv2.BORDER_REPLICATE
    )
    wanted = metrics.psnr(bench.held.target[:1], torch.from_numpy(slight).permute(2, 0, 1)[None])
    assert float(found["blurred"][0]) == pytest.approx(float(wanted), abs=0.3)
    draws = [metrics.psnr(bench.held.target, bench.alike(draw).degraded) for draw in range(bench.draws)]
    assert torch.allclose(found["input"], torch.stack(draws).mean(0))


def test_a_page_of_pictures(bench: measure.Bench, tmp_path: Path) -> None:
    measured = measure.measure(halfway(bench), 96, bench)
    found = report.summarise("<half>.onnx", measured, bench, {}, {})
    written = page.write(tmp_path / "deep" / "page", [page.Shown(found, measured, halfway(bench))], bench)
    text = written.read_text()
    pictures = {unquote(source) for source in re.findall(r'src="([^"]+)"', text)}
    assert "&lt;half&gt;.onnx" in text
    assert "Worst" in text
    assert pictures
    assert pictures == {path.name for path in written.parent.glob("*.webp")}
    assert np.asarray(cv2.imread(str(written.parent / sorted(pictures)[0]))).shape == (96, 96, 3)


def test_which_faces_the_page_shows() -> None:
    psnr = torch.tensor([30.0, 10, 20, 40, 25])
    found = page.choice(psnr, {"tan": torch.tensor([0, 3]), "dark": torch.tensor([], dtype=torch.int64)}, each=1)
    assert found == {"Worst": [1], "Middling": [4], "Best": [3], "Skin tone: tan": [0]}


def test_what_is_no_restorer_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        measure.restorer(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ValueError, match="cannot be loaded as a network"):
        measure.restorer(tmp_path / "text.onnx")
    with pytest.raises(ValueError, match=r"no restorer: it goes from \S+ to"):
        measure.restorer(Path(__file__).parents[3] / "weights" / "frrcam-face-320.onnx")
    with pytest.raises(FileNotFoundError, match="--data"):
        measure.Identity(tmp_path / "none.onnx")


def test_a_checkpoint_is_a_restorer(tmp_path: Path) -> None:
    network = FRRNet(width=4, depth=1, stem_stride=2)
    checkpoint.save(tmp_path / "c.pt", checkpoint.start(network, 1e-3))
    restore, size = measure.restorer(tmp_path / "c.pt", size=64)
    assert (size, restore(torch.rand(1, 3, 64, 64))[0].shape) == (64, (1, 3, 64, 64))
    with pytest.raises(ValueError, match="take a multiple of"):
        measure.restorer(tmp_path / "c.pt", size=63)


class FakeDlib:
    """dlib's names; a descriptor is the chip's mean colour, a chip the picture without its frame."""

    def __init__(self) -> None:
        self.framed: list[tuple[int, ...]] = []

    def rectangle(self, *edges: int) -> tuple[int, ...]:
        return edges

    def shape_predictor(self, file: str) -> Callable[[np.ndarray, tuple[int, ...]], tuple[int, ...]]:
        assert file == "models/shape_predictor_5_face_landmarks.dat"
        return lambda _image, frame: frame

    def get_face_chip(self, image: np.ndarray, points: tuple[int, ...], side: int) -> np.ndarray:
        assert (side, image.dtype) == (150, np.uint8)
        self.framed.append(points)
        left, top, right, bottom = points
        return image[top:bottom, left:right]

    def face_recognition_model_v1(self, _file: str) -> "FakeDlib":
        return self

    def compute_face_descriptor(self, chip: np.ndarray) -> list[float]:
        return list(chip.mean((0, 1)) / 255)


def test_a_second_opinion_is_a_distance_of_descriptors() -> None:
    dlib = FakeDlib()
    distance, reason = dlib_identity.load(lambda: (dlib, Path("models")))
    assert distance is not None
    assert reason is None
    grey, red = torch.full((2, 3, 50, 50), 0.4), torch.full((2, 3, 50, 50), 0.4)
    red[1, 0] = 1.0
    assert distance(grey, red).tolist() == pytest.approx([0, 0.6])
    assert set(dlib.framed) == {(10, 14, 40, 44)}


def test_without_dlib_it_says_how_to_get_it() -> None:
    def missing() -> tuple[FakeDlib, Path]:
        raise ImportError("No module named 'dlib'")

    wanted = "dlib cannot be loaded: No module named 'dlib'; pip install -e '.[judge]'"
    assert dlib_identity.load(missing) == (None, wanted)


def test_lpips_is_there_or_the_reason_is() -> None:
    distance, reason = lpips.load()
    assert (distance is None) == (reason is not None)


def test_resize_keeps_the_mean() -> None:
    image = torch.rand(1, 3, 64, 64)
    assert float(resize(image, 32).mean()) == pytest.approx(float(image.mean()), abs=1e-3)
    assert resize(image, 64) is image


def test_a_sheet_has_all_rows(faces: Faces) -> None:
    image = sheets.faces_sheet([(unchanged, 96), (unchanged, 64)], faces, count=3, columns=2, cell=40)
    # two bands of four rows; the second band is filled up with a blank
    assert image.shape == (320, 80, 3)


def test_a_sheet_of_an_unknown_kind_is_said(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot write .*sheet\.jpgx"):
        write_image(tmp_path / "sheet.jpgx", np.zeros((4, 4, 3), np.uint8))


def test_no_wild_pictures_is_said(tmp_path: Path) -> None:
    class NoLandmarks:
        def find(self, image: NDArray[np.uint8]) -> None:
            return None

    with pytest.raises(FileNotFoundError, match="wild"):
        sheets.wild_sheet([(unchanged, 96)], tmp_path, NoLandmarks())
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((50, 60, 3), 90, np.uint8))
    assert sheets.wild_sheet([(unchanged, 96)] * 3, tmp_path, NoLandmarks(), cell=32).shape == (128, 32, 3)


def test_what_the_picture_itself_makes_hard_is_no_difference_of_tones() -> None:
    """Two tones of which one has finer pictures: the restored differ by 2 dB, and as much as the blurred originals."""
    coarse, fine = torch.arange(8), torch.arange(8, 16)
    blurred = torch.tensor([30.0] * 8 + [28.0] * 8)
    psnr = {"input": torch.full((16,), 20.0), "restored": blurred - 1, "blurred": blurred}
    spread = {name: statistics.known(f).value for name, f in report.spreads(psnr, {"a": coarse, "b": fine}).items()}
    assert spread == {"input": 0, "restored": 2, "blurred": 2, report.BEYOND: 0}

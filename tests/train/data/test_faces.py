"""Faces from shards: aligned and cached, or streamed by workers; the split; what is said of shards that are wrong."""

import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import webdataset

from frrcam.faces import alignment
from train.data import faces as data
from train.data import shards, stream
from train.data.faces import Faces
from train.data.stream import Canvases, Stream
from train.fit import checkpoint, loop


def faces(count: int = 60, size: int = 32) -> Faces:
    small = np.random.default_rng(0).integers(0, 255, (count, 6, 6, 3), np.uint8)
    canvases = np.stack([cv2.resize(image, (36, 36), interpolation=cv2.INTER_CUBIC) for image in small])
    return Faces(canvases, size, tuple(f"face-{i}" for i in range(count)), np.full((count, 36, 36), 255, np.uint8))


def write_shards(folder: Path, counts: list[int], kind: str = "webp") -> list[str]:
    """`counts` aligned faces in each shard, by webdataset's own writer; the keys."""
    keys = []
    points = (alignment.TEMPLATE * 100 + 10).ravel().tolist()
    for shard, count in enumerate(counts):
        with webdataset.TarWriter(str(folder / f"faces-train-{shard:03d}.tar")) as writer:
            for i in range(count):
                image = np.full((120, 120, 3), (40 * i + 7 * shard) % 250, np.uint8)
                image[60:] = 200
                content = cv2.imencode(f".{kind}", image)[1].tobytes()
                keys.append(f"{shard}{i:04d}")
                writer.write({"__key__": keys[-1], kind: content, "json": json.dumps({"kps": points}).encode()})
    return keys


def test_the_cache_holds_aligned_faces(tmp_path: Path) -> None:
    keys = write_shards(tmp_path, [4])
    loaded = data.load_faces(tmp_path, tmp_path / "cache", 32)
    assert list(loaded.keys) == keys
    assert loaded.canvases.shape == (4, data.canvas_size(32), data.canvas_size(32), 3)
    (tmp_path / "faces-train-000.tar").rename(tmp_path / "elsewhere.tar")
    with pytest.raises(FileNotFoundError, match="no shard"):
        data.load_faces(tmp_path, tmp_path / "cache", 32)
    (moved := tmp_path / "moved").mkdir()
    (tmp_path / "elsewhere.tar").rename(moved / "faces-train-000.tar")
    again = data.load_faces(moved, tmp_path / "cache", 32)
    assert np.array_equal(again.canvases, loaded.canvases)


def test_a_cache_of_other_shards_is_not_taken(tmp_path: Path) -> None:
    for name, counts in (("one", [4]), ("other", [3, 2])):
        (tmp_path / name).mkdir()
        write_shards(tmp_path / name, counts)
    data.load_faces(tmp_path / "one", tmp_path / "cache", 32)
    with pytest.raises(ValueError, match="holds the faces of other shards than"):
        data.load_faces(tmp_path / "other", tmp_path / "cache", 32)


def test_masks_of_other_faces_are_not_taken(tmp_path: Path) -> None:
    write_shards(tmp_path, [4])
    data.load_faces(tmp_path, tmp_path / "cache", 32)
    np.save(tmp_path / "cache" / "masks.npy", np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(ValueError, match="labels 3 faces"):
        data.load_faces(tmp_path, tmp_path / "cache", 32)


@pytest.mark.parametrize("content", [b"{}", b"[1, 2]", b"none", b'{"kps": [[1, 2]]}'])
def test_a_face_without_five_points_is_named(content: bytes) -> None:
    encoded = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
    with pytest.raises(ValueError, match=r"^face me/007: no five points"):
        data.canvas("me/007", {"png": encoded, "json": content}, 32)


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_spoilt_picture_is_named(content: bytes, tmp_path: Path) -> None:
    with webdataset.TarWriter(str(tmp_path / "faces-train-000.tar")) as writer:
        writer.write({"__key__": "me/007", "jpg": content, "json": b"{}"})
    streamed = Canvases(shards.addresses(tmp_path), 32, 1, 10)
    for read in (lambda: data.load_faces(tmp_path, tmp_path / "cache", 32), lambda: next(iter(streamed))):
        with pytest.raises(ValueError, match=rf"^face me/007: not a picture \({len(content)} bytes\)"):
            read()


@pytest.mark.parametrize("pattern", ["{}/faces-train-{{000..001}}.tar", "pipe:cat {}/faces-train-{{000..001}}.tar"])
def test_an_address_is_as_good_as_a_folder(tmp_path: Path, pattern: str) -> None:
    write_shards(tmp_path, [3, 2])
    whole = list(shards.read_shards(tmp_path))
    assert [key for key, _ in whole] == ["00000", "00001", "00002", "10000", "10001"]
    assert list(shards.read_shards(pattern.format(tmp_path))) == whole


def test_other_pictures_than_webp_are_read(tmp_path: Path) -> None:
    write_shards(tmp_path, [1], "png")
    assert len(data.load_faces(tmp_path, tmp_path / "cache", 32)) == 1


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("{}", "no shard faces-train-.* set --data"),
        ("{}/nothing", "no such folder, and no address of shards"),
        ("{}/faces-{{000..001}}.tar", "no shard .*faces-000.tar"),
        ("pipe:false {}/a.tar", "cannot read the shard pipe:false"),
        ("odd://a.tar", "cannot read the shard odd://a.tar"),
    ],
)
def test_shards_that_are_not_there_are_named(tmp_path: Path, address: str, message: str) -> None:
    with pytest.raises(OSError, match=message):
        list(shards.read_shards(address.format(tmp_path)))


def test_a_shard_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "faces-train-000.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(OSError, match=r"cannot read the shard .*faces-train-000\.tar"):
        list(shards.read_shards(tmp_path))


def test_a_sample_without_a_picture_is_said() -> None:
    with pytest.raises(ValueError, match=r"needs a picture .* not only \['json'\]"):
        data.canvas("a", {"json": b"{}"}, 32)


def test_the_split_is_fixed_and_complete() -> None:
    source = faces(2000)
    training, held = source.indices(training=True), source.indices(training=False)
    assert sorted([*training, *held]) == list(range(2000))
    assert 25 < len(held) < 75


def test_keys_are_hashed_once() -> None:
    class Keys(tuple[str, ...]):
        rounds = 0

        def __iter__(self) -> Iterator[str]:
            Keys.rounds += 1
            return super().__iter__()

    source = replace(faces(), keys=Keys(faces().keys))
    for training in (True, False, True):
        source.indices(training=training)
    assert Keys.rounds == 1


def test_a_still_crop_is_the_middle_of_the_canvas() -> None:
    source = faces()
    images, masks = data.batch(source, np.array([3]), 32, data.STILL, np.random.default_rng(0))
    wanted = torch.from_numpy(source.canvases[3][2:-2, 2:-2].copy()).permute(2, 0, 1).float() / 255
    assert torch.allclose(images[0], wanted, atol=1.5 / 255)
    assert masks is not None
    assert masks.shape == (1, 1, 32, 32)


def streamed(folder: Path, count: int, skip: int = 0, seed: int = 1) -> list[str]:
    """The first keys of a stream in this process, without workers."""
    canvases = Canvases(shards.addresses(folder), 32, seed, buffer=5, skip=skip)
    return [key for key, _ in islice(canvases, count)]


def test_a_stream_gives_every_training_face_once_an_epoch_in_another_order(tmp_path: Path) -> None:
    keys = write_shards(tmp_path, [20, 30, 10])
    training = sorted(key for key in keys if not data.held_out(key))
    count = len(training)
    assert count < len(keys)
    got = streamed(tmp_path, 2 * count)
    assert sorted(got[:count]) == sorted(got[count:]) == training
    assert got[:count] != got[count:]
    assert got[:count] != training
    assert got == streamed(tmp_path, 2 * count)
    assert got != streamed(tmp_path, 2 * count, seed=2)


@pytest.mark.parametrize("skip", [1, 17, 59, 60, 200])
def test_a_stream_goes_on_where_it_stopped(tmp_path: Path, skip: int) -> None:
    write_shards(tmp_path, [20, 30, 10])
    assert streamed(tmp_path, 30, skip) == streamed(tmp_path, skip + 30)[skip:]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine with fewer processors
def test_workers_share_the_shards_and_go_on_where_they_stopped(tmp_path: Path) -> None:
    keys = write_shards(tmp_path, [12, 12, 12])
    urls = shards.addresses(tmp_path)
    whole = Stream(urls, 32, 1, workers=2, buffer=5).take(60)
    # the second worker's one shard comes round again sooner than the first one's two
    assert set(whole.keys) == {key for key in keys if not data.held_out(key)}
    assert Stream(urls, 32, 1, seen=13, workers=2, buffer=5).take(47).keys == whole.keys[13:]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_a_signal_to_the_training_does_not_reach_its_workers(tmp_path: Path) -> None:
    write_shards(tmp_path, [12])
    stream = Stream(shards.addresses(tmp_path), 32, 1, workers=1, buffer=5)
    stream.take(1)
    groups = {os.getpgid(child.pid) for child in multiprocessing.active_children() if child.pid}
    assert groups
    assert os.getpgrp() not in groups


def test_fewer_shards_than_workers_is_said(tmp_path: Path) -> None:
    write_shards(tmp_path, [3])
    with pytest.raises(ValueError, match="1 shards cannot be split among 1 processes with 2 workers"):
        Stream(shards.addresses(tmp_path), 32, 1, workers=2)


def test_a_training_on_a_stream_ends_as_one_that_never_stopped(tmp_path: Path) -> None:
    write_shards(tmp_path, [40, 40])
    urls = shards.addresses(tmp_path)
    held_out = {32: stream.held_out_faces(urls, 32, 8)}
    plan = loop.Settings((loop.Phase(32, 4, 24),), warm_up=8, bf16=False, validate_every=1000)

    def go(state: checkpoint.State, name: str, images: int) -> checkpoint.State:
        faces = Stream(urls, 32, plan.seed, state.images, workers=1, buffer=8)
        polls = iter(range(100))
        return loop.fit(
            state, held_out, plan, tmp_path / name, report=str, stream=faces, stopped=lambda: next(polls) == images // 4
        )

    def start() -> checkpoint.State:
        torch.manual_seed(0)
        return checkpoint.start(checkpoint.build({"width": 2, "depth": 1, "stem_stride": 4}), plan.rate)

    whole = go(start(), "whole", 24)
    assert go(start(), "cut", 12).images == 12
    resumed = go(checkpoint.load(tmp_path / "cut" / "checkpoint.pt", plan.rate), "cut", 24)
    assert resumed.images == 24
    for a, b in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_only_held_out_faces_are_validated_on(tmp_path: Path) -> None:
    keys = write_shards(tmp_path, [60])
    found = stream.held_out_faces(shards.addresses(tmp_path), 32, 8)
    assert list(found.keys) == [key for key in keys if data.held_out(key)][:8]
    write_shards(tmp_path, [1])
    with pytest.raises(ValueError, match="no held-out face"):
        stream.held_out_faces(shards.addresses(tmp_path), 32, 8)


def test_masks_follow_the_faces_under_jitter() -> None:
    canvas = np.zeros((36, 36, 3), np.uint8)
    canvas[10:26, 8:20] = 255
    source = replace(faces(1), canvases=canvas[None], masks=canvas[None, ..., 0])
    images, masks = data.batch(source, np.zeros(5, int), 32, data.Jitter(0.1, 0.05, 8), np.random.default_rng(1))
    assert masks is not None
    assert torch.allclose(images[:, :1], masks, atol=2 / 255)

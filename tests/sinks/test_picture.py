"""Pictures read, changed and written: what a file holds stays in it, or is named."""

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from frrcam.errors import SourceUnusable, UsageError
from frrcam.sinks.jpeg_tail import end_of_picture, tail_of
from frrcam.sinks.picture import WRITABLE, write_picture
from frrcam.sources.still import Picture, open_picture
from tests.sources.stills import PROFILE, XMP, bytes_of, deep_png, exif, save, soft

pillow_heif.register_heif_opener()
WITH_NOTES = ["jpg", "png", "webp", "tif", "avif", "heic"]
FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tif": "TIFF", "avif": "AVIF", "heic": "HEIF", "bmp": "BMP"}


def brightened(picture: Picture, levels: int = 20) -> Picture:
    """With a change in the middle."""
    after = picture.view.copy()
    after[50:70, 60:90] += np.uint8(levels)
    return picture.changed(picture.view, after)


def notes_for(ending: str, block: bytes, packet: bytes) -> dict[str, Any]:
    """How Pillow is asked to write EXIF notes and an XMP packet."""
    if ending == "tif":
        return {"tiffinfo": {271: "A camera", 700: packet}}
    if ending == "png":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", packet.decode())
        return {"exif": block, "pnginfo": text}
    return {"exif": b"Exif\0\0" + block, "xmp": packet}


def away(image: Any, other: Any) -> float:
    return float(np.abs(np.asarray(image).astype(int) - np.asarray(other)).mean())


@pytest.mark.parametrize("ending", WITH_NOTES)
def test_profile_and_notes_are_kept_in_every_format(tmp_path: Path, ending: str) -> None:
    source, target = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    save(source, soft(), icc_profile=PROFILE, **notes_for(ending, exif(), XMP))
    assert write_picture(target, brightened(open_picture(source))) == []
    with Image.open(target) as after:
        assert after.format == FORMATS[ending]
        assert after.info["icc_profile"] == PROFILE
        assert XMP in after.info["xmp"]
        assert after.getexif()[0x010F].startswith("A camera")
        assert away(np.asarray(after.convert("RGB"))[..., ::-1][:40], soft()[:40]) < 2.5


@pytest.mark.parametrize("target", WITH_NOTES)
@pytest.mark.parametrize("source", WITH_NOTES)
def test_profile_and_notes_go_from_format_to_format(tmp_path: Path, source: str, target: str) -> None:
    save(tmp_path / f"in.{source}", soft(), icc_profile=PROFILE, **notes_for(source, exif(order="<"), XMP))
    write_picture(tmp_path / f"out.{target}", open_picture(tmp_path / f"in.{source}"))
    with Image.open(tmp_path / f"out.{target}") as after:
        assert after.info["icc_profile"] == PROFILE
        assert after.getexif()[0x010F].startswith("A camera")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", WITH_NOTES)
def test_every_orientation_comes_upright_once(tmp_path: Path, ending: str, orientation: int) -> None:
    notes = {"tiffinfo": {274: orientation}} if ending == "tif" else notes_for(ending, exif(orientation), XMP)
    source, target = save(tmp_path / f"in.{ending}", soft(), **notes), tmp_path / "out.png"
    array = soft()
    array = array.swapaxes(0, 1) if orientation > 4 else array
    array = array[:, ::-1] if orientation in (2, 3, 6, 7) else array
    array = array[::-1] if orientation in (3, 4, 7, 8) else array
    write_picture(target, open_picture(source))
    with Image.open(target) as after:
        assert after.getexif().get(0x0112, 1) == 1
        assert away(np.asarray(after)[..., ::-1], array) < 3


@pytest.mark.parametrize("orientation", [1, 5, 6])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_stay_sixteen(tmp_path: Path, ending: str, channels: int, orientation: int) -> None:
    rng = np.random.default_rng(0)
    shape = (128, 160) if channels == 1 else (128, 160, channels)
    before = rng.integers(0, 60000, shape).astype(np.uint16)
    before.flat[0] = 65000
    plain = open_picture(deep_png(tmp_path / f"plain.{ending}", before))
    write_picture(tmp_path / f"in.{ending}", plain)
    path = tmp_path / f"in.{ending}"
    if orientation > 1:
        path = turned_copy(path, orientation)
    picture = open_picture(path)
    write_picture(tmp_path / f"out.{ending}", brightened(picture))
    after = cv2.imread(str(tmp_path / f"out.{ending}"), cv2.IMREAD_UNCHANGED)
    assert after is not None
    expected = before if orientation == 1 else before.swapaxes(0, 1)
    expected = expected[:, ::-1] if orientation == 6 else expected
    assert after.dtype == np.uint16
    assert after.shape == expected.shape
    np.testing.assert_array_equal(after[:40], expected[:40])
    change = after.astype(int)[52:68, 62:88] - expected[52:68, 62:88]
    assert np.all(change[..., :3] == 20 * 257) if channels > 1 else np.all(np.abs(change - 20 * 257) <= 1)


def turned_copy(path: Path, orientation: int) -> Path:
    """The same pixels with another orientation tag."""
    data = bytearray(path.read_bytes())
    if path.suffix == ".png":
        chunk = b"eXIf" + exif(orientation)
        length, check = struct.pack(">I", len(chunk) - 4), struct.pack(">I", zlib.crc32(chunk))
        data = data[:33] + length + chunk + check + data[33:]
    else:
        (at,) = struct.unpack_from("<I", data, 4)
        (count,) = struct.unpack_from("<H", data, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            if struct.unpack_from("<H", data, entry) == (274,):
                struct.pack_into("<H", data, entry + 8, orientation)
    turned = path.with_stem("turned")
    turned.write_bytes(data)
    return turned


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_cameras_bits_in_sixteen_are_seen_and_keep_their_scale(tmp_path: Path, bits: int) -> None:
    before = np.linspace(0, 2**bits - 1, 128 * 160).reshape(128, 160).astype(np.uint16)
    picture = open_picture(deep_png(tmp_path / "in.png", before))
    assert picture.view.max() == 255, "not nearly black"
    write_picture(tmp_path / "out.png", brightened(picture))
    after = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert after is not None
    assert after.dtype == np.uint16
    np.testing.assert_array_equal(after[:40], before[:40])
    assert np.median(after[50:70, 60:90].astype(int) - before[50:70, 60:90]) == round(20 * (2**bits - 1) / 255)
    assert write_picture(tmp_path / "out.jpg", picture) == [f"its {bits} bits a colour become 8"]


@pytest.mark.parametrize("ending", ["png", "tif", "jpg", "webp", "avif", "heic"])
def test_grey_stays_grey_where_the_format_has_it(tmp_path: Path, ending: str) -> None:
    picture = brightened(open_picture(save(tmp_path / "in.png", soft()[..., 0])))
    assert picture.pixels.ndim == 2
    write_picture(tmp_path / f"out.{ending}", picture)
    with Image.open(tmp_path / f"out.{ending}") as after:
        channels = np.asarray(after.convert("RGB")).astype(int)
        assert after.mode == "L" or ending in ("webp", "avif", "heic")
    assert np.abs(channels - channels[..., :1]).max() <= 2


def transparent(path: Path, kind: str) -> Path:
    """With a clear part, in each way that PNG has of saying so."""
    grey = Image.fromarray(soft()[..., 0])
    colour = Image.fromarray(soft()[..., ::-1])
    if kind == "grey key":
        return save(path, grey, transparency=int(np.asarray(grey)[0, 0]))
    if kind == "colour key":
        return save(path, colour, transparency=colour.getpixel((0, 0)))
    if kind == "palette":
        return save(path, colour.quantize(32), transparency=bytes(range(0, 256, 8)))
    alpha = Image.fromarray(np.tile(np.arange(160, dtype=np.uint8), (128, 1)))
    (grey if kind == "grey alpha" else colour).putalpha(alpha)
    return save(path, grey if kind == "grey alpha" else colour)


@pytest.mark.parametrize("ending", ["png", "tif", "webp", "avif", "heic"])
@pytest.mark.parametrize("kind", ["grey key", "colour key", "palette", "grey alpha", "colour alpha"])
def test_transparency_is_kept_whatever_it_is_made_of(tmp_path: Path, kind: str, ending: str) -> None:
    source = transparent(tmp_path / "in.png", kind)
    assert write_picture(tmp_path / f"out.{ending}", brightened(open_picture(source))) == []
    with Image.open(source) as before, Image.open(tmp_path / f"out.{ending}") as after:
        expected = np.asarray(before.convert("RGBA"))[..., 3]
        found = np.asarray(after.convert("RGBA"))[..., 3]
    assert expected.min() < 255
    assert np.abs(found.astype(int) - expected).max() <= (0 if ending in ("png", "tif", "webp") else 12)


@pytest.mark.parametrize("ending", ["jpg", "bmp"])
def test_transparency_that_a_format_has_not_is_named(tmp_path: Path, ending: str) -> None:
    picture = open_picture(transparent(tmp_path / "in.png", "colour alpha"))
    assert write_picture(tmp_path / f"out.{ending}", picture) == ["its transparency is left out"]


@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_cmyk_becomes_rgb_and_is_named(tmp_path: Path, ending: str) -> None:
    source = save(tmp_path / f"in.{ending}", Image.fromarray(soft()[..., ::-1]).convert("CMYK"))
    picture = open_picture(source)
    assert picture.lost == ("its CMYK colours become RGB",)
    assert away(picture.view, soft()) < 4


def test_resolution_is_kept(tmp_path: Path) -> None:
    for ending in ("jpg", "png", "tif"):
        save(tmp_path / f"in.{ending}", soft(), dpi=(300, 300))
        write_picture(tmp_path / f"out.{ending}", brightened(open_picture(tmp_path / f"in.{ending}")))
        with Image.open(tmp_path / f"out.{ending}") as after:
            assert after.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_a_film_behind_a_jpeg_is_kept(tmp_path: Path) -> None:
    film = struct.pack(">I", 16) + b"ftypisom" + bytes(4) + b"\xff\xd9 and so on"
    source = tmp_path / "in.jpg"
    source.write_bytes(bytes_of(soft(), quality=95, xmp=XMP) + film)
    assert write_picture(tmp_path / "out.jpg", brightened(open_picture(source))) == []
    data = (tmp_path / "out.jpg").read_bytes()
    assert tail_of(data) == film
    assert XMP in data
    (lost,) = write_picture(tmp_path / "out.png", open_picture(source))
    assert "a film" in lost


def test_further_pictures_of_a_jpeg_are_kept_and_found(tmp_path: Path) -> None:
    second = soft()[::-1].copy()
    save(
        tmp_path / "in.jpg",
        Image.fromarray(soft()[..., ::-1]),
        format="MPO",
        save_all=True,
        append_images=[Image.fromarray(second[..., ::-1])],
    )
    picture = open_picture(tmp_path / "in.jpg")
    assert picture.pages == 2
    write_picture(tmp_path / "out.jpg", brightened(picture))
    with Image.open(tmp_path / "out.jpg") as after:
        assert (after.format, after.n_frames) == ("MPO", 2)  # type: ignore[attr-defined]
        assert away(np.asarray(after)[60, 70], soft()[60, 70, ::-1] + 20) < 4
        after.seek(1)
        assert away(np.asarray(after)[..., ::-1], second) < 4


def test_the_end_of_a_picture_is_not_that_of_its_thumbnail() -> None:
    small = bytes_of(soft(32, 32))
    jpeg = bytes_of(soft(), exif=b"Exif\0\0" + exif() + small)
    assert end_of_picture(jpeg) == len(jpeg)
    assert end_of_picture(jpeg + small) == len(jpeg)


@pytest.mark.parametrize("size", [(12000, 9000), (16382, 3896)])
def test_only_memory_limits_a_picture(tmp_path: Path, size: tuple[int, int]) -> None:
    path = save(tmp_path / "wide.png", Image.new("L", size, 90), compress_level=1)
    with pytest.raises(SourceUnusable, match=rf"{size[0]}x{size[1]} pixels need about \d+\.\d GB .* 1\.0 GB is free"):
        open_picture(path, free_memory=10**9)
    assert open_picture(path).pixels.shape == (size[1], size[0])


@pytest.mark.parametrize("ending", sorted(WRITABLE))
def test_every_format_is_written_and_read_again(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out{ending}"
    write_picture(path, soft())
    assert away(open_picture(path).view, soft()) < 3


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="written as"):
        write_picture(tmp_path / "out.xyz", soft())


def test_values_that_are_no_levels_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in.tif").write_bytes(cv2.imencode(".tif", soft().astype(np.float32) / 255)[1].tobytes())
    with pytest.raises(SourceUnusable, match="float32, not levels; convert it to 16 bits first"):
        open_picture(tmp_path / "in.tif")


def test_ten_bits_of_a_phones_heic_stay(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 65535, 160).astype(np.uint16)[None, :, None], 128, axis=0).repeat(3, axis=2)
    out = BytesIO()
    pillow_heif.from_bytes("RGB;16", (160, 128), ramp.tobytes()).save(out, quality=100)
    (tmp_path / "in.heic").write_bytes(out.getvalue())
    picture = open_picture(tmp_path / "in.heic")
    assert picture.deep
    write_picture(tmp_path / "out.heic", brightened(picture))
    again = open_picture(tmp_path / "out.heic")
    assert again.deep
    assert away(again.pixels[:40], picture.pixels[:40]) < 300


def test_a_cmyk_profile_is_used_and_not_kept(tmp_path: Path) -> None:
    cmyk = Image.fromarray(soft()[..., ::-1]).convert("CMYK")
    picture = open_picture(save(tmp_path / "in.jpg", cmyk, icc_profile=PROFILE))
    assert picture.profile is None
    assert ImageCms.ImageCmsProfile(BytesIO(PROFILE)).profile.xcolor_space == "RGB "


def test_captions_and_comments_of_a_jpeg_are_kept(tmp_path: Path) -> None:
    caption = b"\xff\xed" + struct.pack(">H", 2 + 14 + 9) + b"Photoshop 3.0\0" + b"a caption"
    plain = bytes_of(soft(), quality=95, comment=b"a comment")
    (tmp_path / "in.jpg").write_bytes(plain[:20] + caption + plain[20:])
    write_picture(tmp_path / "out.jpg", brightened(open_picture(tmp_path / "in.jpg")))
    data = (tmp_path / "out.jpg").read_bytes()
    assert caption in data
    with Image.open(tmp_path / "out.jpg") as after:
        assert after.info["comment"] == b"a comment"
        assert away(np.asarray(after)[..., ::-1][:40], soft()[:40]) < 2.5


@pytest.mark.parametrize("deep", [False, True])
def test_texts_and_gamma_of_a_png_are_kept(tmp_path: Path, deep: bool) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a portrait")
    text.add(b"gAMA", struct.pack(">I", 100_000))
    source = save(tmp_path / "in.png", soft(), pnginfo=text)
    if deep:
        plain = cv2.imencode(".png", soft().astype(np.uint16) * 257)[1].tobytes()
        kept = source.read_bytes()
        source.write_bytes(plain[:33] + kept[33 : kept.index(b"IDAT") - 4] + plain[33:])
    write_picture(tmp_path / "out.png", brightened(open_picture(source)))
    with Image.open(tmp_path / "out.png") as after:
        assert after.info["parameters"] == "a portrait"
        assert after.info["gamma"] == 1.0


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_whose_white_is_zero_is_no_negative(tmp_path: Path, bits: int) -> None:
    grey = soft()[..., 0].astype(np.uint16) * (257 if bits == 16 else 1)
    pixels = ((2**bits - 1) - grey).astype("<u2" if bits == 16 else "u1")
    tags = [(256, 160), (257, 128), (258, bits), (259, 1), (262, 0), (273, 256), (277, 1), (278, 128)]
    tags.append((279, pixels.nbytes))
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + rows + bytes(4)
    (tmp_path / "in.tif").write_bytes(head.ljust(256, b"\0") + pixels.tobytes())
    picture = open_picture(tmp_path / "in.tif")
    assert picture.deep == (bits == 16)
    np.testing.assert_array_equal(picture.view[..., 0], soft()[..., 0])

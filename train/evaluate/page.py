"""A page of pictures to look at: the worst, middling and best faces and every skin tone, before | after | original."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

import cv2
import torch

from frrcam.restore import contract
from train.common.images import to_image
from train.data import skin_tone
from train.evaluate.measure import Bench, Measured, Restorer
from train.evaluate.report import Report
from train.evaluate.tables import ROWS, cell

EACH = 4
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1120px;margin:2em auto;padding:0 1em;color:#222}
figure{margin:0 0 1.4em}figure div{display:grid;grid-template-columns:repeat(3,1fr);gap:4px}
img{width:100%;display:block}figcaption{color:#555;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.15em .8em .15em 0;text-align:left}"""


@dataclass(frozen=True)
class Shown:
    """One restorer on the page."""

    report: Report
    measured: Measured
    restore: Restorer


def choice(psnr: torch.Tensor, tones: Mapping[str, torch.Tensor], each: int = EACH) -> dict[str, list[int]]:
    """Faces by heading: the worst, the middling and the best PSNR (N, dB), and the middling ones of every skin tone."""
    order = [int(i) for i in psnr.argsort()]

    def middling(rows: list[int]) -> list[int]:
        begin = max((len(rows) - each) // 2, 0)
        return rows[begin : begin + each]

    found = {"Worst": order[:each], "Middling": middling(order), "Best": order[::-1][:each]}
    for name, rows in tones.items():
        members = set(rows.tolist())
        found[f"Skin tone: {name}"] = middling([i for i in order if i in members])
    return {heading: rows for heading, rows in found.items() if rows}


def write(folder: Path, shown: Sequence[Shown], bench: Bench) -> Path:
    """index.html and its pictures in `folder`, which is made; returns the page. OSError if it cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    tones = skin_tone.members(bench.tones)
    parts = [section(folder, one, bench, tones) for one in shown]
    page = folder / "index.html"
    page.write_text(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>FRR-Net</title>\n'
        f"<style>{STYLE}</style>\n<h1>FRR-Net on held-out faces</h1>\n"
        f"<p>Degraded as the paper's Eq. 2 does it | restored | original. PSNR in dB, before → after.</p>\n"
        + "\n".join(parts)
        + "\n</html>\n",
        encoding="utf-8",
    )
    return page


def section(folder: Path, one: Shown, bench: Bench, tones: Mapping[str, torch.Tensor]) -> str:
    """One restorer's figures and faces."""
    lines = [f"<h2>{escape(one.report.model)}</h2>", figures(one.report)]
    drawn: dict[int, str] = {}
    for heading, rows in choice(one.measured.quality["restored"]["whole"]["psnr"], tones).items():
        lines.append(f"<h3>{escape(heading)}</h3>")
        for index in rows:
            if index not in drawn:
                drawn[index] = face(folder, one, bench, index)
            lines.append(drawn[index])
    return "\n".join(lines)


def figures(report: Report) -> str:
    """The quality table as HTML."""
    rows = [
        f"<tr><td>{title}</td><td>{cell(report.figure('input', metric), form)}</td>"
        f"<td>{cell(report.figure('restored', metric), form)}</td></tr>"
        for metric, title, form in ROWS
    ]
    return "<table><tr><th></th><th>input</th><th>restored</th></tr>" + "".join(rows) + "</table>"


def face(folder: Path, one: Shown, bench: Bench, index: int) -> str:
    """Writes the three pictures of one face and gives their figure."""
    held = bench.at(one.measured.size)
    restored = one.restore(held.degraded[index : index + 1])[0][0]
    name = Path(one.report.model).stem
    pictures = {
        f"{index:03}-{held.target.shape[-1]}-before.webp": held.degraded[index],
        f"{index:03}-{name}.webp": restored,
        f"{index:03}-{held.target.shape[-1]}-original.webp": held.target[index],
    }
    for file, picture in pictures.items():
        if not cv2.imwrite(str(folder / file), to_image(picture), [cv2.IMWRITE_WEBP_QUALITY, 90]):
            raise OSError(f"cannot write {folder / file}: may you write to that folder?")
    images = "".join(f'<img loading="lazy" src="{quote(file)}" alt="">' for file in pictures)
    return f"<figure><div>{images}</div><figcaption>{escape(caption(one, bench, index))}</figcaption></figure>"


def caption(one: Shown, bench: Bench, index: int) -> str:
    """The face's own numbers."""
    before, after = (one.measured.quality[state]["whole"] for state in ("input", "restored"))
    said = [
        f"PSNR {before['psnr'][index]:.2f} → {after['psnr'][index]:.2f}",
        f"SSIM {before['ssim'][index]:.3f} → {after['ssim'][index]:.3f}",
    ]
    if "identity" in after:
        said.append(f"identity {before['identity'][index]:.3f} → {after['identity'][index]:.3f}")
    given = [name for name, has in zip(contract.DISTORTIONS, bench.held.labels[index], strict=True) if has > 0.5]
    found = [name for name, p in zip(contract.DISTORTIONS, one.measured.probabilities[index], strict=True) if p > 0.5]
    said += [f"is {'+'.join(given)}, found {'+'.join(found) or 'nothing'}", f"ITA {bench.tones[index]:.0f}°"]
    return " · ".join([*said, bench.held.keys[index]])

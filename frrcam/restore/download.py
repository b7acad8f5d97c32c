"""Fetching a model pack on the user's word: licence first, pinned bytes, resumed where it stopped."""

import http.client
import os
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from frrcam.atomic import replacing
from frrcam.errors import DownloadError, ModelCorrupt, ModelNotFound
from frrcam.restore.models import digest
from frrcam.restore.packs import NOTICE, PACKS, Pack, fetched_dir

CHUNK = 1 << 18
TIMEOUT = 30.0
"""Seconds without a byte before a connection counts as dead."""

Opener = Callable[[urllib.request.Request], AbstractContextManager[Any]]
Report = Callable[[int, int], None]
"""Takes bytes so far and bytes in all."""


def urlopen(request: urllib.request.Request) -> AbstractContextManager[Any]:
    """The network: redirects followed, proxies from the environment, TLS checked."""
    response: AbstractContextManager[Any] = urllib.request.urlopen(request, timeout=TIMEOUT)
    return response


def find_pack(name: str) -> Pack:
    """The pack of that name. Raises ModelNotFound listing those whose bytes are pinned: no other is ever fetched."""
    if name not in PACKS:
        raise ModelNotFound(f"no pack called {name!r} can be fetched (there are: {', '.join(sorted(PACKS))})")
    return PACKS[name]


def fetch(
    pack: Pack,
    consent: Callable[[str], bool],
    *,
    archive: Path | None = None,
    folder: Path | None = None,
    opener: Opener = urlopen,
    report: Report = lambda done, total: None,
) -> Path:
    """Brings a pack's detector into the user's data folder and returns its path; at once if it is there already.

    consent: is shown the licence (text) and the source, and answers yes or no.
    archive: the pack's zip where it has been downloaded by other means; the same bytes are asked of it.
    Raises DownloadError (no consent, no network, disk full, stopped short: what came is kept and the next call goes
    on from there), ModelCorrupt (not the pinned bytes, which are thrown away), ModelNotFound (no such archive).
    """
    folder = (folder or fetched_dir()) / pack.name
    target = folder / pack.detector
    if os.path.isfile(target) and digest(target) == pack.detector_sha256:
        return target
    source = str(archive) if archive else f"{pack.url} ({pack.bytes / 1e6:.0f} MB)"
    if not consent(f"{NOTICE}\n\n{pack.name} from {source}"):
        raise DownloadError(f"{pack.name} was not fetched: its licence was not accepted")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if archive is None:
            part = folder / f"{pack.name}.zip.part"
            _download(pack, part, opener, report)
            _extract(pack, part, target)
            part.unlink()
        elif os.path.isfile(archive):
            _check(pack, archive, "give the file that the release serves")
            _extract(pack, archive, target)
        else:
            raise ModelNotFound(f"no file {archive}: give the path of {pack.name}.zip")
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise DownloadError(f"{pack.name} cannot be written to {folder}: {error.strerror or error}{where}") from error
    return target


def _download(pack: Pack, part: Path, opener: Opener, report: Report) -> None:
    """Completes `part`, resuming as often as that brings bytes, and checks it."""
    while (before := _size(part)) < pack.bytes:
        try:
            _request(pack, part, opener, report)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                part.unlink()
                continue
            raise DownloadError(
                f"{pack.url} answers {error.code} {error.reason}: get it by hand, and --from it"
            ) from None
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason: object = error.reason if isinstance(error, urllib.error.URLError) else error
            if _size(part) <= before:
                raise DownloadError(f"{pack.url} cannot be reached: {reason}") from None
            continue
        if before >= _size(part):
            break
    if (size := _size(part)) < pack.bytes:
        raise DownloadError(f"{pack.name} stopped at {size} of {pack.bytes} bytes: run it again to go on from there")
    try:
        _check(pack, part, "run it again; if that is no help, the release has changed")
    except ModelCorrupt:
        part.unlink()
        raise


def _request(pack: Pack, part: Path, opener: Opener, report: Report) -> None:
    """One connection: appends to `part` if the server goes on with the same file, else starts over."""
    tag = part.with_suffix(".etag")
    done, headers = _size(part), {"User-Agent": "frrcam"}
    if done and tag.is_file():
        headers |= {"Range": f"bytes={done}-", "If-Range": tag.read_text()}
    with opener(urllib.request.Request(pack.url, headers=headers)) as response:
        resumed = response.status == http.client.PARTIAL_CONTENT and "Range" in headers
        if resumed and not str(response.headers["Content-Range"]).startswith(f"bytes {done}-"):
            raise http.client.HTTPException(f"asked for bytes from {done}, got {response.headers['Content-Range']}")
        tag.unlink(missing_ok=True)
        etag = response.headers["ETag"]
        if etag and not etag.startswith("W/"):  # a weak one does not promise the same bytes
            tag.write_text(etag)
        with part.open("ab" if resumed else "wb") as file:
            while chunk := _received(response):
                file.write(chunk)
                report(file.tell(), pack.bytes)
                if file.tell() > pack.bytes:
                    break
    if _size(part) >= pack.bytes:
        tag.unlink(missing_ok=True)


def _received(response: Any) -> bytes:
    """The next bytes. What breaks the connection becomes URLError: any other OSError is then the disk's."""
    try:
        chunk: bytes = response.read(CHUNK)
    except OSError as error:  # beside ConnectionError also no route, no network, TLS cut off
        raise urllib.error.URLError(error) from error
    return chunk


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _check(pack: Pack, archive: Path, remedy: str) -> None:
    found = digest(archive)
    if found != pack.sha256:
        raise ModelCorrupt(
            f"{archive} is not the {pack.name} that frrcam knows"
            f" (SHA-256 {found[:12]}…, expected {pack.sha256[:12]}…): {remedy}"
        )


def _extract(pack: Pack, archive: Path, target: Path) -> None:
    """Takes the one file out; no name from the archive ever becomes a path."""
    with replacing(target) as part:
        try:
            with zipfile.ZipFile(archive) as zipped:
                member = next((info for info in zipped.infolist() if Path(info.filename).name == pack.detector), None)
                if member is None or member.file_size != pack.detector_bytes:
                    raise ModelCorrupt(f"{archive} holds no {pack.detector} of {pack.detector_bytes} bytes")
                with zipped.open(member) as packed, part.open("wb") as file:
                    shutil.copyfileobj(packed, file)
        except zipfile.BadZipFile as error:
            raise ModelCorrupt(f"{archive} is no zip file: {error}") from None
        found = digest(part)
        if found != pack.detector_sha256:
            raise ModelCorrupt(
                f"{pack.detector} in {archive} is not the known one"
                f" (SHA-256 {found[:12]}…, expected {pack.detector_sha256[:12]}…)"
            )

"""Samples of WebDataset shards: of a folder, of a pattern of files, or from any address that webdataset opens.

An address is what the webdataset library takes: `faces-{000..003}.tar`, `https://…/faces-{000..003}.tar`,
`pipe:aws s3 cp s3://bucket/faces-{000..003}.tar -`; braces are expanded, `::` joins several.
"""

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import webdataset
from webdataset.shardlists import expand_urls
from webdataset.tariterators import group_by_keys, tar_file_expander

TRAINING = "faces-train-*.tar"

Sample = dict[str, Any]
"""What webdataset makes of a sample: `__key__`, and the bytes of each file by its extension."""


def addresses(data: Path | str, pattern: str = TRAINING) -> list[str]:
    """The shards `pattern` of a folder, or those that an address names; `::` joins several of either.

    Raises FileNotFoundError if the folder or the address's files hold none.
    """
    folder = Path(data)
    if "::" in str(data):
        return [url for part in str(data).split("::") for url in addresses(part, pattern)]
    if folder.is_dir():
        found = [str(path) for path in sorted(folder.glob(pattern))]
    elif ".tar" in str(data):
        found = expand_urls(str(data))
    else:
        raise FileNotFoundError(f"{data}: no such folder, and no address of shards: these name .tar files")
    missing = [url for url in found if ":" not in url and not Path(url).is_file()]
    if missing or not found:
        raise FileNotFoundError(
            f"no shard {missing[0] if missing else pattern} in {folder if not missing else Path(missing[0]).parent}: "
            "set --data to the folder that holds the face shards, or to their address"
        )
    return found


def samples(shards: Iterable[Sample]) -> Iterator[Sample]:
    """The samples of {"url": …} shards, in file order: a stage of a webdataset pipeline.

    Raises OSError if a shard cannot be opened or read to its end.
    """
    for shard in shards:
        try:
            with webdataset.gopen(shard["url"]) as stream:
                yield from group_by_keys(tar_file_expander([{**shard, "stream": stream}]))
        except (OSError, ValueError, tarfile.TarError) as error:
            raise OSError(f"cannot read the shard {shard['url']}: {error.args[0]}") from error


def read_shards(data: Path | str, pattern: str = TRAINING) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(key, {extension: bytes}) of every sample of `addresses(data, pattern)`, in file order."""
    for sample in samples({"url": url} for url in addresses(data, pattern)):
        yield sample["__key__"], {name: content for name, content in sample.items() if not name.startswith("__")}

"""A restorer as a function of tensors: a weights file by frrcam's contract, or a checkpoint."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from frrcam.restore import contract
from train.export.onnx import session
from train.fit import checkpoint

Restorer = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
"""Pictures (N×3×S×S, RGB, [0,1]) to restored, mask and distortion, as the contract has them."""
SIZE = 336


def existing(file: Path) -> Path:
    """The file; FileNotFoundError if there is none."""
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file: give a restorer's .onnx or a checkpoint's .pt")
    return file


def restorer(file: Path, threads: int = 2, size: int = SIZE) -> tuple[Restorer, int]:
    """A weights file or a checkpoint (.pt) as a function of tensors, and its crop size; a checkpoint's is `size`.

    Raises FileNotFoundError if there is none, ValueError if it is no restorer.
    """
    if existing(file).suffix == ".pt":
        network, _ = checkpoint.load_network(file)
        if size % network.multiple:
            raise ValueError(f"a crop size of {size} does not fit {file}: take a multiple of {network.multiple}")
        return lambda images: network(images), size
    opened = contract_session(file, threads)

    def restore(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows = [opened.run(list(contract.OUTPUTS), {contract.INPUT: image[None].numpy()}) for image in images]
        restored, mask, distortion = (torch.from_numpy(np.concatenate(column)) for column in zip(*rows, strict=True))
        return restored, mask, distortion

    return restore, int(opened.get_inputs()[0].shape[-1])


def opened_session(file: Path, threads: int) -> onnxruntime.InferenceSession:
    """The file opened; ValueError if it cannot be."""
    try:
        return session(file, threads)
    except Exception as error:  # onnxruntime's own types share no base but this
        raise ValueError(f"{file} cannot be loaded as a network: {str(error).splitlines()[0]}") from error


def contract_session(file: Path, threads: int) -> onnxruntime.InferenceSession:
    """The file opened; ValueError if it cannot be, or keeps another contract than a restorer's."""
    opened = opened_session(file, threads)
    inputs, outputs = ([value.name for value in values] for values in (opened.get_inputs(), opened.get_outputs()))
    if inputs != [contract.INPUT] or set(outputs) != set(contract.OUTPUTS):
        raise ValueError(
            f"{file} is no restorer: it goes from {', '.join(inputs)} to {', '.join(outputs)}, "
            f"not from {contract.INPUT} to {', '.join(contract.OUTPUTS)}"
        )
    return opened

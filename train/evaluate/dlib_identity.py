"""Who a face is, by a network that no training here has seen: dlib's (King, 2017), where its packages are installed.

The identity cosine comes from the network whose embedding is in the loss, so it may flatter. dlib's was trained by
others on other faces; its weights are in the public domain (dlib-bin and face_recognition_models, extra `judge`).
"""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.evaluate.lpips import Distance

MODELS = "face_recognition_models"
FACE = (0.2, 0.28, 0.8, 0.88)
"""Left, top, right, bottom of the face in our aligned crop, as dlib's detector would frame it, in fractions."""
CHIP = 150
"""Side in pixels of the aligned pictures that dlib's network takes."""


def library() -> tuple[Any, Path]:
    """The module dlib and the folder of its weights; ImportError if either is not installed."""
    spec = importlib.util.find_spec(MODELS)  # to import it takes setuptools, which Python 3.12 no longer brings
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"there is no {MODELS}")
    return importlib.import_module("dlib"), Path(spec.submodule_search_locations[0]) / "models"


def load(find: Callable[[], tuple[Any, Path]] = library) -> tuple[Distance | None, str | None]:
    """The Euclidean distance of dlib's descriptors (N) of two pictures each, and no reason; or nothing and the reason.

    dlib's author takes two pictures within 0.6 for the same person.
    """
    try:
        dlib, folder = find()
        find_points = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
        network = dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat"))
    except (ImportError, RuntimeError) as error:
        return None, f"dlib cannot be loaded: {str(error).splitlines()[0]}; pip install -e '.[judge]'"

    def distance(a: Tensor, b: Tensor) -> Tensor:
        rows = []
        for one, other in zip(pixels(a), pixels(b), strict=True):
            frame = dlib.rectangle(*(round(edge * len(one)) for edge in FACE))
            points = find_points(one, frame)  # the same for both: what is compared is the face, not where it was found
            first, second = (
                np.array(network.compute_face_descriptor(dlib.get_face_chip(picture, points, CHIP)))
                for picture in (one, other)
            )
            rows.append(float(np.linalg.norm(first - second)))
        return torch.tensor(rows)

    return distance, None


def pixels(images: Tensor) -> list[NDArray[np.uint8]]:
    """Pictures (N×3×S×S, RGB, [0,1]) as N arrays S×S×3 uint8."""
    return list((images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy())

"""Pictures about the picture: letterboxing to another size, a small notice, before beside after."""

import cv2
import numpy as np

from frrcam.frame import Image


def letterbox(image: Image, size: tuple[int, int]) -> Image:
    """The whole picture scaled into (width, height), centred on black; the image itself where the size is right."""
    width, height = size
    if (image.shape[1], image.shape[0]) == size:
        return image
    scale = min(width / image.shape[1], height / image.shape[0])
    inner_width, inner_height = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.zeros((height, width, 3), np.uint8)
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    inner = canvas[top : top + inner_height, left : left + inner_width]
    inner[:] = cv2.resize(image, (inner_width, inner_height), interpolation=interpolation)
    return canvas


def with_notice(image: Image, text: str) -> Image:
    """A copy with one line of white text on a darkened strip along the lower edge."""
    noted = image.copy()
    scale = max(0.4, image.shape[0] / 1000)
    (text_width, text_height), baseline = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    scale *= min(1.0, 0.94 * image.shape[1] / max(text_width, 1))
    strip = noted[-(2 * text_height + 2 * baseline) :]
    strip[:] = strip // 3
    origin = (round(0.03 * image.shape[1]), image.shape[0] - (text_height + 2 * baseline) // 2)
    cv2.putText(noted, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return noted


def side_by_side(before: Image, after: Image) -> Image:
    """Before | after with a thin white line between (same height and type)."""
    line = np.full((before.shape[0], 2, 3), 255, np.uint8)
    return np.hstack((before, line, after))

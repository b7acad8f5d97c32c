"""Cameras and virtual cameras of a run, all faked."""

from dataclasses import replace

import numpy as np

from frrcam.app.start import Openers
from frrcam.concurrency.notices import Notices
from frrcam.config import Settings
from frrcam.errors import ModelNotFound, SinkNotFound, SourceNotFound
from frrcam.pipeline.engine import Engine
from frrcam.sinks.base import FakeSink, Sink
from frrcam.sources.base import FakeSource, Source

GREY = np.full((64, 96, 3), 90, np.uint8)


class World:
    """Cameras and virtual cameras as a test wants them; records what was opened."""

    def __init__(self, *, camera: bool = True, virtual_camera: bool = True) -> None:
        self.camera, self.virtual_camera = camera, virtual_camera
        self.opened: list[tuple[object, ...]] = []
        self.rates: list[float] = []
        self.sizes: list[tuple[int, int]] = []
        self.sources: list[FakeSource] = []
        self.image = GREY
        self.sink = FakeSink()

    def open_source(
        self, device: str | None, source: str | None, size: object, fps: object, loop: bool = False
    ) -> Source:
        self.opened.append((device, source, loop))
        if source is None and not self.camera:
            raise SourceNotFound("there is no camera")
        fake = FakeSource([self.image], fps=200.0, live=source is None, loop=True)
        fake.info = replace(fake.info, reopen_as="by-name" if source is None else None)
        self.sources.append(fake)
        return fake

    def open_sink(self, output: str | None, width: int, height: int, fps: float, *, label: str) -> Sink:
        self.rates.append(fps)
        self.sizes.append((width, height))
        if not self.virtual_camera:
            raise SinkNotFound("there is no virtual camera")
        return self.sink

    def engine(self, settings: Settings, period: float, notices: Notices) -> Engine:
        raise ModelNotFound("no engine in this test")

    @property
    def openers(self) -> Openers:
        return Openers(self.open_source, self.open_sink, self.engine, lambda settings: None)

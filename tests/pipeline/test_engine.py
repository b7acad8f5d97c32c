"""The shipped networks, loaded as the daemon does."""

from pathlib import Path

import numpy as np
import pytest

from frrcam.config import load_settings
from frrcam.errors import ModelError, ModelNotFound
from frrcam.frame import Frame
from frrcam.pipeline.engine import load_engine
from frrcam.pipeline.levels import Plan
from frrcam.sources.demo import DemoSource
from tests.fakes import Said

PERIOD = 1 / 30


def test_an_engine_enhances_until_it_is_closed():
    said = Said()
    engine = load_engine(
        load_settings({"restore": {"model": "frrnet-160-int8", "provider": "cpu"}}), PERIOD, said.notices
    )
    assert engine.describe("frrnet-160-int8") == ("frrnet-160-int8", "cpu")
    plan = Plan("best", "", "frrnet-160-int8", 1, 1, True)
    with DemoSource((640, 360)) as source:
        outcomes = [engine.pipeline.process(source.read(), plan, 1.0) for _ in range(8)]
        assert outcomes[-1].fresh == 1
        assert np.any(outcomes[-1].image != source.read().image)
        engine.close()
        engine.close()
        with pytest.raises((ModelError, TypeError, AttributeError)):
            engine.pipeline.process(source.read(), plan, 1.0)
    assert said.lines == []


def test_at_a_picture_a_second_every_one_is_enhanced():
    settings = load_settings({"restore": {"model": "frrnet-160-int8", "provider": "cpu"}})
    engine = load_engine(settings, 1.0, Said().notices)
    with DemoSource((640, 360)) as source:
        image = source.read().image
    outcomes = []
    for index in range(6):
        now = 1000 + 1.03 * index  # no camera keeps time to the millisecond
        plan = engine.budget.plan(engine.pipeline.face_count, now, urgent=engine.pipeline.urgent)
        outcomes.append(engine.pipeline.process(Frame(image, index, now, "slow"), plan, 1.0))
    engine.close()
    assert all(np.any(outcome.image != image) for outcome in outcomes[2:])


@pytest.mark.parametrize(("asked", "faces"), [({}, 1), ({"min_size": 400}, 0), ({"threshold": 0.995}, 0)])
def test_what_counts_as_a_face_is_what_the_settings_say(asked: dict[str, float], faces: int):
    settings = load_settings({"restore": {"model": "frrnet-160-int8", "provider": "cpu"}, "faces": asked})
    engine = load_engine(settings, PERIOD, Said().notices)
    with DemoSource((640, 360)) as source:
        engine.pipeline.process(source.read(), Plan("best", "", "frrnet-160-int8", 1, 1, True), 1.0)
    assert engine.pipeline.face_count == faces
    engine.close()


@pytest.mark.parametrize("section", ["restore", "faces"])
def test_what_is_wrong_with_either_network_is_reported(section: str, tmp_path: Path):
    key = {"restore": "model", "faces": "detector"}[section]
    settings = load_settings({"restore": {"provider": "cpu"}, section: {key: str(tmp_path / "none.onnx")}})
    with pytest.raises(ModelNotFound, match=r"none\.onnx"):
        load_engine(settings, PERIOD, Said().notices)

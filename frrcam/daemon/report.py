"""How the pictures are doing, in figures, for the status."""

from typing import Any

from frrcam.daemon.publisher import Live
from frrcam.pipeline import metrics as measure
from frrcam.pipeline.engine import Engine


def enhancement(live: Live) -> dict[str, Any]:
    """Rate, rung, network and times: the fields of `daemon.status.Status` that follow from the newest frames."""
    records, engine, plan = live.metrics.window(), live.engine, live.plan
    model, provider = _described(engine, plan.model)
    p50, p95 = measure.percentiles([record.total for record in records], 50, 95)
    return {
        "fps": measure.rate(records),
        "frames": live.metrics.published,
        "dropped": live.metrics.dropped,
        "faces": live.faces,
        "rung": plan.rung,
        "rung_reason": plan.reason,
        "model": model,
        "provider": provider,
        "frame_ms": {"p50": p50, "p95": p95},
        "stages_ms": measure.stages_ms(records),
        "fresh_share": measure.fresh_share(records),
        "late_share": measure.late_share(records),
    }


def _described(engine: Engine | None, model: str | None) -> tuple[str, str]:
    """(model, provider) of what runs. A status is asked for when things go wrong: it must not go wrong itself."""
    if engine is None or model is None:
        return "", ""
    try:
        return engine.describe(model)
    except Exception:
        return model, ""

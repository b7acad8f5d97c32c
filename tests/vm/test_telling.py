"""What `devices` and `doctor` say of a machine whose devices are known."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.vm.conftest import SIZE
from tests.vm.machine import CAMERA, MARKS, SOURCE, VIVID, Machine, ask, load, unload

pytestmark = MARKS
Seen = Callable[[str], None]


def test_devices_tells_the_truth(machine: Machine, moving_clip: Path, seen: Seen) -> None:
    load("vivid", *VIVID)
    player = machine.play(moving_clip)
    found = json.loads(ask("devices", "--json").stdout)
    cameras = {camera["name"]: camera for camera in found["cameras"]}
    virtual = {camera["label"]: camera for camera in found["virtual_cameras"]}
    seen(f"cameras {list(cameras)}; virtual {[(name, each['producing']) for name, each in virtual.items()]}")
    assert set(cameras) == {"vivid", "Test Source"}, "FRR Camera, on which no program publishes, is no camera"
    assert not cameras["vivid"]["loopback"]
    assert sizes(cameras["vivid"], "YUYV") >= {(640, 360), (1280, 720)}
    assert cameras["Test Source"]["node"] == SOURCE
    assert cameras["Test Source"]["loopback"]
    assert sizes(cameras["Test Source"], "YUYV") == {SIZE}
    assert [holder["pid"] for holder in cameras["Test Source"]["busy_by"]] == [player.process.pid]
    assert {name: each["producing"] for name, each in virtual.items()} == {"Test Source": True, "FRR Camera": False}
    assert all(each["exclusive_caps"] for each in virtual.values())
    assert virtual["FRR Camera"]["node"] == CAMERA
    assert virtual["FRR Camera"]["output"]


def test_doctor_tells_the_truth(machine: Machine, seen: Seen) -> None:
    load("vivid", *VIVID)
    whole = ask("doctor", "--json")
    findings = by_title(whole.stdout)
    unload("v4l2loopback")
    broken = ask("doctor", "--json")
    missing = by_title(broken.stdout)["v4l2loopback"]
    bad = [title for title, finding in findings.items() if finding["status"] == "bad"]
    seen(f"exit {whole.returncode}, wrong: {bad or 'nothing'}; {findings['v4l2loopback']['detail']}")
    seen(f"unloaded: exit {broken.returncode}, {missing['detail']} → {missing['remedy']}")
    assert whole.returncode == 0
    assert findings[f"FRR Camera ({CAMERA})"]["status"] == "ok"
    assert findings["vivid (/dev/video0)"]["status"] == "ok"
    assert findings["permissions"]["status"] == "ok"
    assert broken.returncode == 1
    assert missing["status"] == "bad"
    assert "frrcam setup" in missing["remedy"]


def sizes(camera: dict[str, Any], fourcc: str) -> set[tuple[int, int]]:
    item = next(item for item in camera["formats"] if item["fourcc"] == fourcc)
    return {(mode["width"], mode["height"]) for mode in item["modes"]}


def by_title(text: str) -> dict[str, dict[str, str]]:
    return {finding["title"]: finding for finding in json.loads(text)}

import errno
import io
import json
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from rich.console import Console

from frrcam.commands.tables import finding_table
from frrcam.errors import ControlError, ModelCorrupt, ModelNotFound, SinkNotFound
from frrcam.install.doctor import Finding, Probes, Status, examine
from frrcam.install.doctor.linux import SECURE_BOOT, SETUP
from frrcam.install.service import ServiceStatus
from frrcam.linux.v4l2 import Capability, System
from frrcam.restore.models import Kind, Manifest, ModelEntry
from tests.linux.fakes_v4l2 import Hardware

VNNI = "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu avx2 avx512_vnni\n"
VERSIONS = {
    "onnxruntime": "1.31.1",
    "opencv-python": "5.0.0",
    "insightface": "2.1",
    "av": "18.1.0",
    "pyvirtualcam": "0.15.0",
}


def entry(name: str) -> ModelEntry:
    return ModelEntry(name=name, path=Path(name), kind="restorer")


class Ward:
    """A machine on which all is well, until a test breaks something."""

    def __init__(self, root: Path) -> None:
        self.hardware = Hardware(root)
        self.versions = dict(VERSIONS)
        self.providers = [("openvino", "ready (1.8.1)"), ("cpu", "in onnxruntime 1.31.1")]
        self.models = {name: entry(name) for name in ("frrnet", "detector")}
        self.default: dict[Kind, str] = {"restorer": "frrnet", "detector": "detector"}
        self.corrupt: set[str] = set()
        self.python = (3, 11, 7)
        self.label = "FRR Camera"
        self.platform = "linux"
        self.has_pipewire = True
        self.environment = {"XDG_RUNTIME_DIR": "/run/user/1000"}
        self.service: ServiceStatus | None = ServiceStatus(True, True, True, "active (running)", 0, "running", None)
        self.hardware.write("/proc/cpuinfo", VNNI)
        self.hardware.write("/proc/sys/kernel/osrelease", "6.1.0-28-amd64")

    def well(self) -> None:
        self.hardware.load_module("0.15.0", exclusive_caps="Y")
        self.hardware.add_loopback(10)
        self.hardware.add_camera(0, "C920")
        self.secure_boot(False)

    def secure_boot(self, on: bool) -> None:
        self.hardware.write(SECURE_BOOT, "")
        (self.hardware.root / SECURE_BOOT.lstrip("/")).write_bytes(bytes([6, 0, 0, 0, on]))

    def version(self, name: str) -> str:
        if name not in self.versions:
            raise PackageNotFoundError(name)
        return self.versions[name]

    def verify(self, model: ModelEntry) -> None:
        if model.name in self.corrupt:
            raise ModelCorrupt(f"the model {model.name} is cut off")

    def manifest(self) -> Manifest:
        if not self.models:
            raise ModelNotFound("no model manifest")
        return Manifest.model_construct(default=self.default, models=self.models)

    def pipewire(self) -> object:
        if not self.has_pipewire:
            raise SinkNotFound("PipeWire is not installed; run: sudo apt install pipewire")
        return None

    def ask_service(self) -> ServiceStatus:
        if self.service is None:
            raise ControlError("this system has no systemd")
        return self.service

    @property
    def probes(self) -> Probes:
        given = self.hardware.system
        system = System(given.root, given.open, given.close, given.ioctl, self.platform, given.pid)
        return Probes(
            system,
            lambda: self.providers,
            self.manifest,
            self.verify,
            self.version,
            self.python,
            self.environment,
            self.ask_service,
            self.pipewire,
            lambda: self.label,
        )

    def examined(self) -> list[Finding]:
        return examine(self.probes)

    def finding(self, title: str) -> Finding:
        (finding,) = [finding for finding in self.examined() if finding.title == title]
        return finding


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


def test_a_healthy_machine_has_nothing_to_fix(ward: Ward) -> None:
    ward.well()
    findings = ward.examined()
    assert {finding.status for finding in findings} <= {"ok", "info"}
    assert [finding.title for finding in findings if finding.remedy] == []
    assert ward.finding("v4l2loopback").detail == "0.15.0 is loaded"
    assert ward.finding("FRR Camera (/dev/video10)").status == "ok"
    assert ward.finding("C920 (/dev/video0)").detail == "gives 1280x720 at 30 fps (MJPG); free"
    assert ward.finding("permissions").detail == "all 2 video nodes may be opened"
    assert ward.finding("models").detail == "2 match the manifest's SHA-256: frrnet, detector"
    assert ward.hardware.open_nodes == {}


def test_a_camera_by_the_label_of_the_settings_is_the_one(ward: Ward) -> None:
    ward.well()
    ward.hardware.add_loopback(11, "My Cam")
    ward.label = "My Cam"
    assert [finding.title for finding in ward.examined() if finding.status == "bad"] == []


def test_cameras_of_others_are_not_ours_to_fix(ward: Ward) -> None:
    ward.well()
    ward.hardware.add_loopback(11, "OBS Virtual Camera", exclusive=False)
    finding = ward.finding("OBS Virtual Camera (/dev/video11)")
    assert (finding.status, finding.remedy) == ("info", "")
    assert "exclusive_caps is off" in finding.detail


@pytest.mark.parametrize(
    ("package", "instead"), [("onnxruntime", "onnxruntime-gpu"), ("opencv-python", "opencv-contrib-python")]
)
def test_a_wheel_that_does_as_well_is_no_missing_one(ward: Ward, package: str, instead: str) -> None:
    ward.versions[instead] = ward.versions.pop(package)
    assert ward.finding(instead).status == "ok"
    assert package not in {finding.title for finding in ward.examined()}


def not_installed(ward: Ward) -> None:
    ward.hardware.write("/etc/os-release", 'PRETTY_NAME="Linux Mint 22"\nID=linuxmint\nID_LIKE="ubuntu debian"')


def not_installed_nowhere_known(ward: Ward) -> None:
    ward.hardware.write("/etc/os-release", "ID=plan9")


def not_loaded(ward: Ward) -> None:
    ward.hardware.write("/lib/modules/6.1.0-28-amd64/updates/dkms/v4l2loopback.ko.xz", "")


def old_module(ward: Ward) -> None:
    ward.hardware.load_module("0.12.7")


def older_module(ward: Ward) -> None:
    ward.hardware.load_module("0.11.0")


def untold_version(ward: Ward) -> None:
    ward.hardware.load_module("")


def own_label(ward: Ward) -> None:
    ward.label = "My Cam"
    ward.hardware.load_module()
    ward.hardware.add_loopback(10)


def refused_by_secure_boot(ward: Ward) -> None:
    ward.secure_boot(True)


def other_keys(ward: Ward) -> None:
    ward.secure_boot(True)
    ward.hardware.write("/var/lib/shim-signed/mok/MOK.der", "")


def signed(ward: Ward) -> None:
    ward.secure_boot(True)
    ward.hardware.load_module()


def other_label(ward: Ward) -> None:
    ward.hardware.load_module()
    ward.hardware.add_loopback(10, "OBS")


def not_exclusive(ward: Ward) -> None:
    ward.hardware.load_module()
    ward.hardware.add_loopback(10, exclusive=False)


def worn_out(ward: Ward) -> None:
    ward.hardware.load_module("0.12.7")
    ward.hardware.add_loopback(10).capabilities = Capability.READWRITE


def published_by_another(ward: Ward) -> None:
    ward.hardware.load_module()
    ward.hardware.add_loopback(10, producing=True)
    ward.hardware.hold(10, 4711, "obs")


def forbidden_loopback(ward: Ward) -> None:
    ward.hardware.load_module()
    ward.hardware.add_loopback(10).refuses = errno.EACCES


def forbidden_camera(ward: Ward) -> None:
    ward.hardware.add_camera(0, "C920").refuses = errno.EACCES


def busy_camera(ward: Ward) -> None:
    ward.hardware.add_camera(0, "C920")
    ward.hardware.hold(0, 4711, "zoom")


def plain_avx2(ward: Ward) -> None:
    ward.hardware.write("/proc/cpuinfo", VNNI.replace("avx512_vnni", "fma"))


def ancient(ward: Ward) -> None:
    ward.hardware.write("/proc/cpuinfo", "flags\t\t: fpu sse2\n")


def arm(ward: Ward) -> None:
    ward.hardware.write("/proc/cpuinfo", "Features\t: fp asimd asimddp\n")


def no_openvino_device(ward: Ward) -> None:
    ward.providers[0] = ("openvino", "installed (1.8.1), lists no CPU here (QEMU)")


def no_cuda(ward: Ward) -> None:
    ward.providers.append(("cuda", "not installed (onnxruntime-gpu)"))


def cut_model(ward: Ward) -> None:
    ward.corrupt.add("detector")


def no_models(ward: Ward) -> None:
    ward.models = {}


def no_default(ward: Ward) -> None:
    del ward.default["detector"]


def old_python(ward: Ward) -> None:
    ward.python = (3, 10, 4)


def missing_package(ward: Ward) -> None:
    del ward.versions["av"]


def two_wheels(ward: Ward) -> None:
    ward.versions["onnxruntime-gpu"] = "1.31.1"


def with_pipewire(ward: Ward) -> None:
    ward.hardware.write("/run/user/1000/pipewire-0", "")


def without_its_library(ward: Ward) -> None:
    with_pipewire(ward)
    ward.has_pipewire = False


def no_service(ward: Ward) -> None:
    ward.service = ServiceStatus(False, False, False, "inactive (dead)", 0, "", None)


def failed_service(ward: Ward) -> None:
    ward.service = ServiceStatus(True, True, False, "failed (exit-code)", 5, "", None)


def service_that_tries_again(ward: Ward) -> None:
    ward.service = ServiceStatus(True, True, False, "activating (auto-restart)", 7, "", None)


def stopped_service(ward: Ward) -> None:
    ward.service = ServiceStatus(True, False, False, "inactive (dead)", 0, "", None)


def no_systemd(ward: Ward) -> None:
    ward.service = None


def elsewhere(ward: Ward) -> None:
    ward.platform = "win32"


@pytest.mark.parametrize(
    ("situation", "title", "status", "detail", "remedy"),
    [
        (not_installed, "v4l2loopback", "bad", "not installed for kernel 6.1.0-28", f"v4l2loopback-dkms && {SETUP}"),
        (not_installed_nowhere_known, "v4l2loopback", "bad", "not installed", f"for this kernel, then: {SETUP}"),
        (not_loaded, "v4l2loopback", "bad", "installed and not loaded", SETUP),
        (old_module, "v4l2loopback", "warn", "0.12.7 is loaded", "install 0.13"),
        (older_module, "v4l2loopback", "warn", "0.11.0 is loaded", "install 0.13"),
        (untold_version, "v4l2loopback", "warn", "of 0.12 or earlier is loaded", "install 0.13"),
        (own_label, "My Cam", "bad", "there is FRR Camera", f"{SETUP} --label 'My Cam'"),
        (refused_by_secure_boot, "Secure Boot", "warn", "Key was rejected", "mokutil --import /var/lib/dkms/mok.pub"),
        (
            other_keys,
            "Secure Boot",
            "warn",
            "Key was rejected",
            f"mok/MOK.der, then reboot and enrol it, then: {SETUP}",
        ),
        (signed, "Secure Boot", "ok", "accepted", ""),
        (old_module, "Secure Boot", "info", "cannot be read", ""),
        (other_label, "FRR Camera", "bad", "there is OBS", SETUP),
        (not_exclusive, "FRR Camera (/dev/video10)", "bad", "exclusive_caps is off", SETUP),
        (worn_out, "FRR Camera (/dev/video10)", "bad", "neither written nor read", SETUP),
        (published_by_another, "FRR Camera (/dev/video10)", "info", "obs (pid 4711)", ""),
        (forbidden_loopback, "FRR Camera (/dev/video10)", "bad", "no permission", "sudo usermod -aG"),
        (forbidden_camera, "C920 (/dev/video0)", "bad", "no permission", "sudo usermod -aG"),
        (forbidden_camera, "permissions", "bad", "/dev/video0", "sudo usermod -aG video $USER"),
        (busy_camera, "C920 (/dev/video0)", "warn", "zoom (pid 4711)", "close it"),
        (not_loaded, "cameras", "warn", "there is none", "--source demo"),
        (plain_avx2, "processor", "info", "without VNNI", ""),
        (ancient, "processor", "warn", "neither VNNI nor AVX2", ""),
        (arm, "processor", "ok", "asimddp", ""),
        (no_openvino_device, "provider openvino", "info", "lists no CPU", ""),
        (no_cuda, "provider cuda", "info", "not installed", ""),
        (cut_model, "model detector", "bad", "is cut off", "git restore weights"),
        (no_models, "models", "bad", "no model manifest", ""),
        (no_default, "models", "bad", "no default detector", "git restore weights"),
        (old_python, "Python", "bad", "3.10.4 is too old", "3.11"),
        (missing_package, "av", "bad", "not installed", "pip install av"),
        (two_wheels, "onnxruntime", "warn", "overwrite each other", "pip uninstall onnxruntime onnxruntime-gpu"),
        (with_pipewire, "PipeWire", "info", "for that one, frrcam start --output pipewire", ""),
        (without_its_library, "PipeWire", "info", "cannot be used: PipeWire is not installed; run: sudo apt", ""),
        (no_service, "service", "info", "frrcam service install starts it", ""),
        (failed_service, "service", "bad", "failed (exit-code); starts at login; restarted 5", "frrcam service logs"),
        (service_that_tries_again, "service", "bad", "activating (auto-restart)", "frrcam service logs"),
        (stopped_service, "service", "warn", "does not run: inactive", "frrcam service install"),
        (no_systemd, "service", "info", "no systemd", ""),
        (elsewhere, "virtual camera", "info", "OBS", ""),
        (elsewhere, "cameras", "info", "by number", ""),
    ],
)
def test_says_what_is_wrong_and_how_to_fix_it(
    ward: Ward, situation: Callable[[Ward], None], title: str, status: Status, detail: str, remedy: str
) -> None:
    situation(ward)
    findings = [finding for finding in ward.examined() if finding.title == title and finding.status == status]
    assert findings, ward.examined()
    assert detail in findings[0].detail
    assert remedy in findings[0].remedy
    assert bool(findings[0].remedy) == bool(remedy)
    assert "\n" not in findings[0].detail


def test_table_and_json_say_the_same(ward: Ward) -> None:
    ward.hardware.add_camera(0, "C920 [HD]")
    findings = ward.examined()
    console = Console(file=io.StringIO(), width=300)
    console.print(finding_table(findings))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    data = json.loads(json.dumps([finding.as_json() for finding in findings]))
    assert any("C920 [HD]" in finding["title"] for finding in data)
    for finding in data:
        assert finding["title"] in text
        assert finding["detail"] in text
        assert finding["remedy"] in text


def test_this_machine_can_be_examined() -> None:
    assert {"Python", "onnxruntime"} <= {finding.title for finding in examine()}


def test_what_the_system_refuses_to_show_is_said_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.well()

    def refused(model: ModelEntry) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    findings = examine(replace(ward.probes, verify=refused))
    assert [(found.status, found.detail) for found in findings if found.title == "models"] == [
        ("bad", "cannot be examined: [Errno 13] Permission denied")
    ]
    assert [found.status for found in findings if found.title == "service"] == ["ok"]

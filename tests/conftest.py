"""Every test runs as on a machine that has never seen frrcam: no settings, no environment, no folders of its own."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _pristine_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.upper().startswith("FRRCAM_")]:
            patch.delenv(name)
        home = tmp_path_factory.mktemp("xdg")
        for name in ("CONFIG", "CACHE", "DATA", "STATE"):
            (home / name.lower()).mkdir()
            patch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
        runtime = home / "runtime"
        runtime.mkdir(mode=0o700)
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        yield

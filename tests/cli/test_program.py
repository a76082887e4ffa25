"""The real program, started as people start it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dpsynth.cli import EXIT_CODES
from tests.cli.conftest import GUARANTEE
from tests.conftest import ROOT

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default", "COLUMNS": "80"}
FIT = ("fit", "table.csv", "--schema", "schema.yaml", *GUARANTEE, "--out", "new.dpsynth")


def start(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dpsynth", *arguments]
    return subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False, **options
    )


def test_the_road_in_real_processes(folder: Path) -> None:
    fit = start(*FIT, "--json")
    assert (fit.returncode, fit.stderr) == (0, "")
    assert json.loads(fit.stdout)["release"] == "new.dpsynth"
    quiet = start("sample", "new.dpsynth", "--out", "new.parquet", "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    assert (folder / "new.parquet").is_file()


def test_errors_of_real_processes_are_short(folder: Path) -> None:
    long = "x" * 150
    result = start("plan", f"{long}.yaml", *GUARANTEE)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"error: {long}.yaml: there is no such schema file; check the path\n"


def test_help_needs_none_of_the_slow_libraries() -> None:
    code = (
        "import sys; sys.argv = ['dpsynth', '--help']\n"
        "from dpsynth.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "slow = {'pandas', 'numpy', 'scipy', 'pyarrow', 'pydantic', 'opendp', 'networkx', 'mpmath',"
        " 'matplotlib', 'cryptography'}\n"
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert result.stderr == "[]\n"


def test_matrices_are_not_shared_among_threads_unless_asked() -> None:
    """On a busy machine, threads that wait for each other made fits a hundred times slower."""
    program = (
        "import os, sys; from dpsynth.cli import main; sys.argv = ['dpsynth', '--version']\n"
        "try: main()\nexcept SystemExit: print(os.environ['OPENBLAS_NUM_THREADS'], 'numpy' in sys.modules)"
    )
    bare = {k: v for k, v in ENVIRONMENT.items() if not k.endswith("_NUM_THREADS")}
    for asked, threads in ((bare, "1"), ({**bare, "OPENBLAS_NUM_THREADS": "2"}, "2")):
        done = subprocess.run(
            [sys.executable, "-c", program], env=asked, capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == f"{threads} False"


def test_an_interrupt_ends_quietly(folder: Path) -> None:
    code = (
        "import time\nfrom dpsynth.synthesizer import Synthesizer\nfrom dpsynth.cli import main\n"
        "def fit(*a, **k):\n    print('started', flush=True)\n    time.sleep(60)\n"
        "Synthesizer.fit = fit\nmain()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *FIT],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=30)
    assert process.returncode == 130
    assert shown == "error: interrupted\n"
    assert not (folder / "new.dpsynth").exists()


@pytest.mark.parametrize("quiet", [True, False])
def test_progress_is_shown_on_a_terminal_unless_quiet(folder: Path, quiet: bool) -> None:
    reader, writer = pty.openpty()
    arguments = [*FIT, *(["--quiet"] if quiet else [])]
    process = subprocess.Popen(
        [sys.executable, "-m", "dpsynth", *arguments],
        env={**ENVIRONMENT, "TERM": "xterm"},
        stdout=subprocess.DEVNULL,
        stderr=writer,
    )
    os.close(writer)
    shown = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            part = os.read(reader, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(reader)
    assert process.wait(timeout=30) == 0
    assert (b"starting" in shown) != quiet
    assert b"Traceback" not in shown


def test_the_documented_exit_codes_are_the_programs() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for code, meaning in EXIT_CODES.items():
        assert f"| {code} | {meaning}" in text

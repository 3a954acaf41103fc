"""The page without any network: in a network of its own that has nothing but itself, it opens, and the bundled model draws."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ALONE = ["unshare", "-rn", sys.executable, "-c"]

SCRIPT = """
import fcntl, runpy, socket, struct
with socket.socket() as any_socket:  # "lo" is down in a new network: SIOCSIFFLAGS, IFF_UP
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))
try:
    socket.create_connection(("1.1.1.1", 53), 2)
    raise SystemExit("there is a network")
except OSError:
    pass
runpy.run_path("app.py")
from gradio_client import Client
from ddpm_space.ui.launch import DEFAULT_MODEL, start
from ddpm_space.ui.model import ModelSlot
app = start(ModelSlot(DEFAULT_MODEL), quiet=True)
client = Client(app.local_url, verbose=False)
print("drawn:", client.predict(2, 5, "fixed_small", "trailing", True, 0, api_name="/sample")[1]["model"])
app.close()
"""


@pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run([*ALONE, "pass"], capture_output=True, timeout=60).returncode != 0,
    reason="needs Linux that lets a user make a network of his own",
)
def test_the_page_opens_and_draws_without_any_network(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "GRADIO_TEMP_DIR": str(tmp_path / "gradio")}
    done = subprocess.run([*ALONE, SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "drawn: bundled:mnist" in done.stdout, done.stderr[-3000:]

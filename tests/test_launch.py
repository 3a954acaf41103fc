"""What the page is started with, and that the files it brings are all there and all used."""

from __future__ import annotations

import gc
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from ddpm_space.errors import TextError
from ddpm_space.ui import launch
from ddpm_space.ui.head import STATIC
from ddpm_space.ui.launch import launch_options
from ddpm_space.ui.model import ModelSlot


def test_tools_are_offered_only_where_the_owner_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, wanted in ((None, False), ("", False), ("off", False), ("on", True)):
        monkeypatch.delenv("DDPM_SPACE_MCP", raising=False)
        if value is not None:
            monkeypatch.setenv("DDPM_SPACE_MCP", value)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
        assert launch_options()["mcp_server"] is wanted
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install 'mcp<2'"):
        launch_options()
    monkeypatch.setenv("DDPM_SPACE_MCP", "1")
    with pytest.raises(SystemExit, match="'1': use on or off"):
        launch_options()


def test_every_import_of_the_page_s_scripts_is_a_file_beside_them() -> None:
    scripts = {path: path.read_text(encoding="utf-8") for path in STATIC.rglob("*.js")}
    addresses = [
        (path, found) for path, source in scripts.items() for found in re.findall(r'^(?:import|export) [^"]*"(\.[^"]+)";', source, flags=re.M)
    ]
    imported = {(path.parent / address).resolve() for path, address in addresses}
    assert imported <= set(scripts)
    assert {path.name for path in set(scripts) - imported} == {"app.js", "language.js", "mount.js"}, "a script that nothing loads"
    assert not any("http://" in source.replace("http://www.w3.org/2000/svg", "") or "https://" in source for source in scripts.values())
    styles = {path: path.read_text(encoding="utf-8") for path in STATIC.rglob("*.css")}
    brought = {(path.parent / address).resolve() for path, source in styles.items() for address in re.findall(r'@import url\("([^"]+)"\)', source)}
    assert {path.name for path in set(styles) - brought} == {"page.css", "frame.css"} and brought <= set(styles)


def test_the_page_comes_before_the_model_and_garbage_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    class Served:
        def block_thread(self) -> None:
            seen["collecting"], seen["kept"] = gc.isenabled(), gc.get_freeze_count()

    def start(slot: ModelSlot, **options: object) -> Served:
        seen["after"], seen["source"], seen["options"] = slot.after, slot.source, options
        return Served()

    monkeypatch.setattr(launch, "start", start)
    monkeypatch.setattr(launch, "give_back_now_and_then", lambda: None)
    monkeypatch.setattr(launch, "let_networks_give_way", lambda: seen.update(networks="give way"))
    gc.disable()  # as app.py does
    try:
        launch.main(["--model", "somewhere", "--port", "7999"])
    finally:
        gc.enable()
        gc.unfreeze()
    assert seen["collecting"] is True and int(str(seen["kept"])) > 100_000
    assert seen["after"] == launch.PAGE_SECONDS and seen["source"] == "somewhere" and seen["options"] == {"host": None, "port": 7999}
    assert seen["networks"] == "give way", "light answers would wait for samples"


def test_a_model_waits_as_long_as_it_is_told_and_whoever_asks_waits_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    waited: list[float] = []
    # A clock for this module alone: other threads sleep too.
    monkeypatch.setattr("ddpm_space.ui.model.time", SimpleNamespace(sleep=waited.append))
    slot = ModelSlot(str(tmp_path / "nothing"), after=3.0)
    with pytest.raises(TextError):
        slot.get()
    assert waited == [3.0]

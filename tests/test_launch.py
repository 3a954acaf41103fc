"""What the page is started with, and that the files it brings are all there and all used."""

from __future__ import annotations

import re

import pytest

from ddpm_space.ui.head import STATIC
from ddpm_space.ui.launch import launch_options


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

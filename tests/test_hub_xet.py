"""Xet, the path that large files take in production: pushed and pulled by hf_xet, and verified like the others."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from hub_server import HubServer

from ddpm_space.hub import hash_of
from ddpm_space.models import load
from ddpm_space.pipeline_folder import WEIGHTS


def test_a_model_goes_through_xet_and_back(tiny_pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hf_xet = pytest.importorskip("hf_xet")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "storage").mkdir()
    sha256 = hash_of(tiny_pipeline / "unet" / WEIGHTS, "0" * 64)
    with HubServer() as hub:
        hub.speak_xet(tmp_path / "storage")
        api = hub.api()
        api.create_repo("alice/digits")
        try:
            api.upload_folder(repo_id="alice/digits", folder_path=tiny_pipeline)
            known = hub.xet_hash(sha256)
        except Exception as error:  # nothing of this project took part so far
            known, reason = None, str(error)
        else:
            reason = "its shards have another layout"
        if known is None:
            text = f"XET IS UNTESTED: {hf_xet.__file__} stores in another way than hf_xet 1.8 ({reason}); mend tests/hub_xet.py"
            warnings.warn(text, stacklevel=1)
            pytest.skip(text)
        assert not hub.asked("PUT /lfs/"), "stored by hf_xet"
        assert hub.repository("alice/digits").files()[f"unet/{WEIGHTS}"] == (tiny_pipeline / "unet" / WEIGHTS).read_bytes()
        model = load("alice/digits", hub=api)
        assert not hub.asked("/lfs/") and hub.asked("xet-read-token") and model.num_parameters == load(tiny_pipeline).num_parameters
        hub.requests.clear()
        api.upload_folder(repo_id="alice/digits", folder_path=tiny_pipeline)
        assert not hub.asked("/commit/"), "nothing changed"

"""A run that was stopped and resumed ends in the bits of one that was not; what cannot be resumed says why, and nothing is ever half written."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from picture_files import cells, write
from training_runs import log, new_processes, options, same, weights, write_pictures

from training.config import ConfigError, make_config
from training.loop import checkpoint
from training.loop.folders import DiskFull
from training.loop.resume import check_options, plain
from training.train import Trainer, main


@pytest.fixture(autouse=True)
def forget() -> None:
    new_processes()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def finished(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted, with its checkpoints."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    main(make_config(options(pictures, run, checkpoint_every=50)))
    return run


def half_way(run: Path, finished: Path, images: int = 100) -> Path:
    """A run's folder as it was after so many images."""
    shutil.copytree(finished / "checkpoints" / f"images-{images:09d}", run / "checkpoints" / f"images-{images:09d}")
    return run


def test_a_resumed_run_ends_in_the_same_bits(finished: Path, pictures: Path, tmp_path: Path) -> None:
    main(make_config(options(pictures, half_way(tmp_path, finished), resume="latest", checkpoint_every=100, log_every=1)))
    assert log(tmp_path)[0]["images"] == 110
    assert same(weights(tmp_path / "model"), weights(finished / "model"))


@pytest.mark.parametrize(
    "changes",
    [
        {"dropout": 0.2, "flip": True, "crop": "random"},
        {"channels_last": True, "weight_decay": 0.1},
        {"variance": "learned_range", "timestep_sampling": "loss_aware", "num_train_timesteps": 8, "batch_size": 40},
        {"gradient_accumulation_steps": 3, "mixed_precision": "bf16", "eval_images": 2, "eval_terms": 3, "eval_every": 60},
        {"optimizer": "muon", "learning_rate": 1e-2, "channels_last": True},
    ],
    ids=["dropout", "channels_last", "loss_aware", "accumulation", "muon"],
)
def test_so_does_every_kind_of_run(changes: dict[str, Any], pictures: Path, tmp_path: Path) -> None:
    settings = {"train_images": 600, "checkpoint_every": 300, **changes}
    main(make_config(options(pictures, tmp_path / "whole", **settings)))
    first = checkpoint.checkpoints(tmp_path / "whole")[0].name
    run = half_way(tmp_path / "resumed", tmp_path / "whole", int(first.removeprefix("images-")))
    main(make_config(options(pictures, run, resume="latest", **settings)))
    for variant in ("", ".raw"):
        assert same(weights(run / "model", variant), weights(tmp_path / "whole" / "model", variant))
    if "eval_images" in changes:
        assert log(tmp_path / "whole", "held_out_error")[-1] == log(run, "held_out_error")[-1]
        histories = [checkpoint.read_checkpoint(checkpoint.checkpoints(folder)[-1]).progress["history"] for folder in (run, tmp_path / "whole")]
        assert histories[0] == histories[1] and len(histories[0]) > 3


@pytest.mark.parametrize("buffer", [1, 10])
def test_a_stream_goes_on_with_its_next_picture_or_says_what_it_loses(
    buffer: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.1)  # seconds after each pass, for the sake of threads in arrow
    source = write(tmp_path / "pictures.parquet", image=cells(*range(0, 240, 10)))
    settings = {"streaming": True, "shuffle_buffer": buffer, "train_images": 120, "checkpoint_every": 50, "batch_size": 5}
    main(make_config(options(source, tmp_path / "whole", **settings)))
    run = half_way(tmp_path / "resumed", tmp_path / "whole", 50)
    capsys.readouterr()
    main(make_config(options(source, run, resume="latest", **settings)))
    assert ("resuming a stream is not exact" in capsys.readouterr().err) == (buffer > 1)
    if buffer == 1:
        assert same(weights(run / "model"), weights(tmp_path / "whole" / "model"))


def test_latest_passes_over_a_damaged_checkpoint_and_says_so(
    finished: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for images, damage in ((50, None), (100, "cut"), (150, "bit")):
        state = half_way(tmp_path, finished, images) / "checkpoints" / f"images-{images:09d}" / "state.safetensors"
        content = bytearray(state.read_bytes())
        if damage == "bit":
            content[-5] ^= 1
        if damage == "cut":
            content = content[:5000]
        state.write_bytes(bytes(content))
    main(make_config(options(pictures, tmp_path, resume="latest")))
    said = capsys.readouterr().err
    assert said.count("is damaged") == 2 and "has changed since it was written" in said and "going on after 50 images" in said
    assert same(weights(tmp_path / "model"), weights(finished / "model"))
    for folder in checkpoint.checkpoints(tmp_path):
        (folder / "progress.json").unlink()
    with pytest.raises(ConfigError, match="none of the 1 checkpoints"):
        main(make_config(options(pictures, tmp_path, resume="latest")))


def test_one_command_starts_resumes_and_finishes_a_run(finished: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = make_config(options(pictures, tmp_path, resume="latest", checkpoint_every=100))
    main(command)
    assert "starts from its beginning" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "model")  # as if it had been killed while it wrote that
    main(command)
    assert "going on after 200 images" in capsys.readouterr().err
    assert same(weights(tmp_path / "model"), weights(finished / "model"))
    with pytest.raises(ConfigError, match=r"holds the checkpoints of another run.*--resume latest"):
        main(make_config(options(pictures, tmp_path)))


def test_a_resume_that_cannot_work_says_why(finished: Path, pictures: Path, tmp_path: Path) -> None:
    last = str(finished / "checkpoints" / "images-000000150")
    broken, foreign, other_data = (Path(shutil.copytree(last, tmp_path / name)) for name in ("broken", "foreign", "other"))
    (broken / "state.safetensors").write_bytes((broken / "state.safetensors").read_bytes()[:5000])
    (foreign / "progress.json").write_text('{"step": 15}')
    (tmp_path / "few").mkdir()
    for picture in sorted(pictures.iterdir())[:20]:
        shutil.copy(picture, tmp_path / "few")
    for changes, named in (
        ({"resume": str(tmp_path / "nowhere")}, "is no checkpoint"),
        ({"resume": str(broken)}, "is damaged"),
        ({"resume": str(foreign)}, "another version"),
        ({"resume": last, "block_out_channels": (8, 16)}, r"block_out_channels = \[8, 16\] instead of \[8, 8\]"),
        ({"resume": last, "seed": 1, "timestep_sampling": "uniform"}, "seed = 1 instead of 0, timestep_sampling = uniform instead of stratified"),
        ({"resume": last, "batch_size": 20}, "10 images a step, this run has 20"),
        ({"resume": last, "train_images": 140}, "raise it to go on"),
        ({"resume": str(other_data), "dataset": str(tmp_path / "few")}, "24 training images, this one has 20"),
    ):
        with pytest.raises(ConfigError, match=named):
            main(make_config({**options(pictures, tmp_path / "run"), **changes}))


def test_options_that_may_change_are_named_where_they_change_the_weights(
    finished: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half_way(tmp_path, finished)
    main(make_config(options(pictures, tmp_path, resume="latest", learning_rate=1e-3, train_images=210, log_every=5, skip_broken=True)))
    said = capsys.readouterr().err
    assert "learning_rate = 0.001 instead of 0.005, train_images = 210 instead of 200" in said
    assert "log_every" not in said and "skip_broken" not in said


def test_a_checkpoint_that_does_not_fit_leaves_the_last_one_and_no_draft(
    finished: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(make_config(options(pictures, tmp_path, checkpoint_every=50)))
    write, calls = checkpoint.save_file, []

    def torn(tensors: dict[str, Any], path: Path) -> None:
        calls.append(path)
        write(tensors, path)
        if len(calls) == 2:
            path.write_bytes(path.read_bytes()[:1000])
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", torn)
    with pytest.raises(DiskFull, match=r"images-000000100.*--resume latest"):
        trainer.train()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["images-000000050"]
    monkeypatch.undo()
    main(make_config(options(pictures, tmp_path, resume="latest")))
    assert same(weights(tmp_path / "model"), weights(finished / "model"))


def test_only_the_newest_checkpoints_are_kept_and_leftovers_go(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / ".images-000000020.draft-abc").mkdir(parents=True)
    (tmp_path / ".model.draft-abc").mkdir()
    main(make_config(options(pictures, tmp_path, checkpoint_every=20, train_images=70, keep_checkpoints=2)))
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["images-000000060", "images-000000070"]
    assert not (tmp_path / ".model.draft-abc").exists()


def test_a_checkpoint_is_tensors_and_json(finished: Path) -> None:
    folder = checkpoint.checkpoints(finished)[-1]
    assert sorted(path.name for path in folder.iterdir()) == ["progress.json", "state.safetensors"]
    progress = json.loads((folder / "progress.json").read_text())
    assert progress["step"] == 20 and progress["options"]["batch_size"] == 10
    kinds = {name.split(".")[0] for name in checkpoint.read_checkpoint(folder).tensors}
    assert kinds == {"unet", "ema", "optimizer"}


def test_checkpoints_after_the_one_to_go_on_from_neither_lead_back_nor_push_out_new_ones(
    finished: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for images in (50, 100, 150):
        half_way(tmp_path, finished, images)
    earlier = str(tmp_path / "checkpoints" / "images-000000050")
    settings = options(pictures, tmp_path, checkpoint_every=10, keep_checkpoints=2, train_images=80)
    main(make_config({**settings, "resume": earlier}))
    assert [folder.name for folder in checkpoint.checkpoints(tmp_path)] == ["images-000000070", "images-000000080"]
    assert "is now called 'superseded-images-000000150'" in capsys.readouterr().err
    assert (tmp_path / "checkpoints" / "superseded-images-000000100" / "progress.json").is_file()
    with pytest.raises(ConfigError, match="checkpoints of its own"):
        main(make_config({**settings, "resume": str(finished / "checkpoints" / "images-000000150")}))


def test_checkpoints_are_in_the_order_of_their_images_beyond_a_billion_too(tmp_path: Path) -> None:
    names = [checkpoint.folder_name(images) for images in (999_999_900, 1_000_000_000)]
    for name in names:
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert [folder.name for folder in checkpoint.checkpoints(tmp_path)] == names


def test_another_way_to_share_a_step_out_is_said_to_round_otherwise(
    finished: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(make_config(options(pictures, half_way(tmp_path, finished), resume="latest", batch_size=5, gradient_accumulation_steps=2)))
    assert "resumed with 1 process(es) of 5 images instead of 1 of 10" in capsys.readouterr().err


def test_what_a_stream_holds_out_may_not_change(tmp_path: Path) -> None:
    before = make_config({"streaming": True})
    for changes in ({"eval_images": 32}, {"eval_split": "validation"}):
        with pytest.raises(ConfigError, match="that would be another run"):
            check_options(plain(before), make_config({"streaming": True, **changes}), print)
        check_options(plain(make_config({})), make_config(changes), print)


def test_an_option_that_a_checkpoint_does_not_know_was_as_it_is_by_default() -> None:
    before = plain(make_config({}))
    del before["optimizer"]
    check_options(before, make_config({"optimizer": "adamw"}), print)
    with pytest.raises(ConfigError, match="optimizer = muon instead of adamw: that would be another run"):
        check_options(before, make_config({"optimizer": "muon"}), print)

"""The other commands as processes, on a run and a bundle that the command line made."""

from __future__ import annotations

import importlib
import inspect
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sxvae.runs.checkpoint import read_checkpoint, write_checkpoint
from sxvae_cli.lazy import COMMANDS

Cli = Callable[..., "subprocess.CompletedProcess[str]"]

KEYS = {
    "log_likelihood",
    "log_likelihood_se",
    "elbo",
    "reconstruction",
    "kl",
    "kl_per_factor",
    "concentration_per_factor",
    "effective_sample_size",
    "active_factors",
    "collapsed",
    "mutual_information",
    "mutual_information_se",
    "marginal_kl",
    "marginal_kl_se",
    "images",
    "samples",
    "seed",
    "split",
    "binarization",
    "checkpoint",
    "dataset",
}


def test_eval_json(cli: Cli, trained: Path) -> None:
    metrics = json.loads(cli("eval", trained, "--samples", "50", "--json").stdout)
    assert set(metrics) == KEYS
    assert metrics["log_likelihood"] >= metrics["elbo"]
    assert metrics["kl"] == pytest.approx(math.fsum(metrics["kl_per_factor"]))
    assert len(metrics["concentration_per_factor"]) == 3
    assert (metrics["images"], metrics["samples"], metrics["split"]) == (250, 50, "test")
    assert metrics["checkpoint"] == str(trained / "best.safetensors")


def test_eval_takes_a_file_a_run_a_name_or_the_newest(cli: Cli, trained: Path) -> None:
    quick = ("--samples", "2", "--limit", "20", "--json")
    runs = ("--runs-dir", trained.parent)
    outputs = [
        cli("eval", *target, *quick)
        for target in (
            (trained / "best.safetensors",),
            (trained,),
            (trained.name, *runs),
            runs,
        )
    ]
    metrics = [json.loads(done.stdout) for done in outputs]
    assert all(found == metrics[0] for found in metrics)
    collapsed = outputs[0].stderr  # one sentence
    assert outputs[-1].stderr == f"evaluating {trained / 'best.safetensors'}\n{collapsed}"
    assert "evaluating" not in collapsed


def test_eval_options(cli: Cli, trained: Path) -> None:
    done = cli("eval", trained, "--split", "validation", "--limit", "30", "--samples", "3")
    assert "30 of digits, validation split" in done.stdout
    assert "±" in done.stdout
    assert "--split" in cli("eval", trained, "--split", "all", code=2).stderr
    assert "--samples" in cli("eval", trained, "--samples", "0", code=2).stderr


def test_eval_draws_the_same_whatever_memory_it_may_take(cli: Cli, trained: Path) -> None:
    quick = ("--limit", "20", "--samples", "300", "--json")
    little, much = (
        json.loads(cli("eval", trained, *quick, "--memory", memory).stdout)
        for memory in ("1", "1000")
    )
    for name in ("log_likelihood", "elbo", "effective_sample_size"):
        assert little[name] == pytest.approx(much[name], rel=1e-4)
    for bad in ("0", "-5", "1.5", "1GiB", ""):
        refusal = cli("eval", trained, *quick, "--memory", bad, code=2).stderr
        assert f"sxvae eval: --memory {bad or repr(bad)}: must be " in refusal
        assert "Traceback" not in refusal


def test_export_says_what_it_wrote(cli: Cli, trained: Path, tmp_path: Path) -> None:
    done = cli("export", trained, "--onnx", "--out", "bundle")
    assert done.stderr == ""
    assert "largest difference from PyTorch" in done.stdout
    result = json.loads(
        cli("export", trained, "--onnx", "--out", "bundle", "--force", "--json").stdout
    )
    assert result["largest_difference"] < 1e-4
    assert sorted(result["files"]) == sorted(
        path.name for path in Path(tmp_path / "bundle").iterdir()
    )
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_export_refusals(cli: Cli, trained: Path, tmp_path: Path) -> None:
    assert "--onnx" in cli("export", trained, code=2).stderr
    out = tmp_path / "bundle"
    out.mkdir()
    (out / "thesis.tex").touch()
    done = cli("export", trained, "--onnx", "--out", out, "--force", code=1)
    assert "not one of ours" in done.stderr
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]
    blocked = tmp_path / "file"
    blocked.touch()
    done = cli("export", trained, "--onnx", "--out", blocked / "bundle", code=1)
    assert "can't be written" in done.stderr
    done = cli(
        "export", trained, "--onnx", "--out", tmp_path / "deep" / "er", "--threads", "0", code=2
    )
    assert "--threads" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "file"]


def test_a_diverged_model_is_not_shipped(cli: Cli, trained: Path, tmp_path: Path) -> None:
    """NaN compares false with every tolerance, so it needs a check of its own."""
    source = read_checkpoint(trained / "best.safetensors")
    tensors = {
        name: array * np.nan if name == "model.decoder.layers.0.bias" else array
        for name, array in source.tensors.items()
    }
    diverged = tmp_path / "diverged.safetensors"
    write_checkpoint(diverged, tensors, source.metadata)
    for arguments in (
        ("export", diverged, "--onnx", "--out", "deep/bundle"),
        ("sample", diverged),
        ("eval", diverged, "--samples", "2"),
    ):
        done = cli(*arguments, code=1)
        assert "finite" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["diverged.safetensors"]


def test_a_run_is_evaluated_where_its_config_is_damaged(
    cli: Cli, trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "a"
    shutil.copytree(trained, run)
    (run / "config.json").write_text("{")
    quick = ("--samples", "2", "--limit", "10", "--json")
    assert json.loads(cli("eval", run, *quick).stdout)["images"] == 10
    assert "config.json: it is not JSON" in cli("train", "--resume", "a", code=2).stderr


def test_an_existing_bundle_is_replaced_only_by_force(
    cli: Cli, trained: Path, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    shutil.copytree(bundle, out)
    (out / "manifest.json").rename(out / "kept")
    shutil.copy(bundle / "manifest.json", out)
    assert "--force" in cli("export", trained, "--onnx", "--out", out, code=1).stderr
    assert (out / "kept").exists()
    cli("export", trained, "--onnx", "--out", out, "--force")
    assert not (out / "kept").exists()


@pytest.mark.parametrize("kind", ["run", "checkpoint", "bundle"])
def test_sample(cli: Cli, trained: Path, bundle: Path, tmp_path: Path, kind: str) -> None:
    source = {"run": trained, "checkpoint": trained / "last.safetensors", "bundle": bundle}[kind]
    done = cli("sample", source, "--n", "10", "--out", "x.png")
    assert done.stdout == "x.png\n"
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size == (4 * 34 + 2, 3 * 34 + 2)
        assert len(set(picture.tobytes())) > 20
    first = (tmp_path / "x.png").read_bytes()
    assert "--force" in cli("sample", source, "--out", "x.png", code=1).stderr
    cli("sample", source, "--n", "10", "--out", "x.png", "--force")
    assert (tmp_path / "x.png").read_bytes() == first
    cli("sample", source, "--n", "10", "--out", "x.png", "--force", "--seed", "1")
    assert (tmp_path / "x.png").read_bytes() != first


def test_sample_refusals(cli: Cli, trained: Path, tmp_path: Path) -> None:
    done = cli("sample", trained, "--out", "missing/x.png", code=1)
    assert "can't be written" in done.stderr
    assert (
        "no file that can be replaced" in cli("sample", trained, "--out", tmp_path, code=1).stderr
    )
    assert "no run under runs" in cli("sample", code=1).stderr
    assert "a plain picture is a .png" in cli("sample", trained, "--out", "x.jpg", code=2).stderr
    assert list(tmp_path.iterdir()) == []


def test_inspect(cli: Cli, trained: Path, bundle: Path) -> None:
    text = cli("inspect", trained).stdout
    assert "S^4 x S^2 x S^4" in text
    assert "model.head.linear.weight" in text
    content = json.loads(cli("inspect", trained / "last.safetensors", "--json").stdout)
    assert content["epoch"] == 4
    assert content["kind"] == "last"
    assert content["tensors"]["model.head.linear.weight"] == {
        "dtype": "float32",
        "shape": [16, 128],
    }
    assert "decoder.onnx" in cli("inspect", bundle).stdout
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert json.loads(cli("inspect", bundle, "--json").stdout) == manifest


def test_verify(cli: Cli, bundle: Path) -> None:
    assert "is sound" in cli("verify", bundle).stdout
    assert json.loads(cli("verify", bundle, "--json").stdout)["largest_difference"] < 1e-4


def test_damaged_files_are_refused_everywhere(
    cli: Cli, trained: Path, bundle: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "best.safetensors"
    damaged.write_bytes((trained / "best.safetensors").read_bytes()[:-1])
    for arguments in (
        ("eval", damaged),
        ("inspect", damaged),
        ("sample", damaged),
        ("export", damaged, "--onnx"),
    ):
        done = cli(*arguments, code=1)
        assert "damaged" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    broken = tmp_path / "bundle"
    shutil.copytree(bundle, broken)
    (broken / "decoder.onnx").write_bytes((broken / "encoder.onnx").read_bytes())
    for command in ("verify", "sample", "inspect"):
        done = cli(command, broken, code=1)
        assert "decoder.onnx is not the file that the manifest names" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert "is a run and no bundle" in cli("verify", trained, code=1).stderr
    assert "there is no checkpoint" in cli("inspect", "nowhere", code=1).stderr


@pytest.mark.parametrize("command", ["--help", "inspect", "verify", "sample"])
def test_commands_that_need_no_torch_do_not_import_it(
    bundle: Path, tmp_path: Path, command: str
) -> None:
    arguments = {
        "--help": ["--help"],
        "inspect": ["inspect", str(bundle)],
        "verify": ["verify", str(bundle)],
        "sample": ["sample", str(bundle), "--out", str(tmp_path / "x.png")],
    }[command]
    code = (
        "import sys\n"
        "from sxvae_cli.main import main\n"
        f"sys.argv = ['sxvae', *{arguments!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as exit:\n    assert exit.code == 0\n"
        "loaded = {'torch', 'torchvision', 'sklearn', 'onnx'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_help_imports_no_command() -> None:
    code = (
        "import sys\n"
        "from sxvae_cli.app import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "loaded = {'numpy', 'pydantic', 'sxvae_cli.options'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_summaries_are_how_the_commands_help_begins(name: str) -> None:
    home, summary = COMMANDS[name]
    module, attribute = home.split(":")
    target = getattr(importlib.import_module(f"sxvae_cli.commands.{module}"), attribute)
    text = str(target.info.help if name == "plot" else inspect.getdoc(target))
    assert text.partition("\n\n")[0] == summary


def test_inspecting_a_checkpoint_imports_no_torch(trained: Path) -> None:
    code = (
        "import sys\n"
        "from sxvae_cli.app import app\n"
        f"app(['inspect', {str(trained)!r}], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_usage(cli: Cli) -> None:
    assert "Commands" in cli("--help").stdout
    for command in ("train", "eval", "export", "sample", "report", "inspect", "verify"):
        assert "Options" in cli(command, "--help").stdout
    assert "Did you mean 'train'" in cli("trian", code=2).stderr
    assert "see sxvae eval --help" in cli("eval", "--bogus", code=2).stderr

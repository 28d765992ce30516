"""The command line: exact results, strict JSON, one sentence for whatever is wrong, and nothing lost."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from labkit import cli, flow, models
from labkit.cli import main
from labkit.core.errors import LabkitError
from labkit.core.registry import Method, methods
from labkit.models import zoo

RECIPE = """version: 1
network: digits-small
data: digits
steps:
  - method: magnitude
    ratio: {name: uniform_ratio, sparsity: 0.8}
    scope: global
"""
TUNED = RECIPE + "  - method: masked_finetune\n    epochs: 1\n"
COMMAND = [sys.executable, "-c", "import sys; from labkit.cli import main; sys.exit(main())"]
COMMANDS = ["", "lab", "methods", "compress", "measure", "zoo", "zoo list", "zoo train", "data", "data list", "data fetch", "warm"]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "recipe.yaml"
    path.write_text(TUNED)
    return path


def strict(text: str) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def sentence(capsys: Capture, *args: object) -> str:
    """Run a command that must fail; return the one line that it says."""
    code = main([str(arg) for arg in args])
    out, err = capsys.readouterr()
    assert (code, out) == (1, ""), err
    assert err.startswith("labkit: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err


# --- methods


def test_methods_as_json_says_everything(capsys: Capture) -> None:
    assert main(["methods", "--json"]) == 0
    rows = strict(capsys.readouterr().out)
    assert [row["name"] for row in rows] == [method.name for method in methods()]
    for row, method in zip(rows, methods(), strict=True):
        assert list(row) == ["name", "family", "topic", "source", "labs", "config"]
        assert (row["family"], row["source"], tuple(row["labs"])) == (method.family, method.source, method.labs)
        _check_config(row["config"], method)


def _check_config(rows: list[dict[str, Any]], method: Method) -> None:
    assert [row["name"] for row in rows] == [spec.name for spec in method.config.specs()]
    for row, spec in zip(rows, method.config.specs(), strict=True):
        assert list(row) == ["name", "default", "low", "high", "step", "choices", "unit", "help"]
        assert (row["default"], row["low"], row["high"], row["help"]) == (spec.default, spec.low, spec.high, spec.help)
        choices = [each.name for each in methods(spec.family)] if spec.family else list(spec.choices)
        assert row["choices"] == choices
        assert not choices or row["default"] in choices


def test_methods_as_a_table_has_each(capsys: Capture) -> None:
    assert main(["methods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [method.name for method in methods()]


# --- compress and measure


def test_compress_gives_the_same_in_another_process_and_the_file_runs(recipe: Path, tmp_path: Path, capsys: Capture) -> None:
    one, two = tmp_path / "one.labkit", tmp_path / "two.labkit"
    assert main(["compress", "digits-small", "--recipe", str(recipe), "-o", str(one), "--json"]) == 0
    here = strict(capsys.readouterr().out)
    call = [*COMMAND, "compress", "digits-small", "--recipe", str(recipe), "-o", str(two), "--json"]
    there = subprocess.run(call, capture_output=True, text=True, timeout=280)
    assert there.returncode == 0, there.stderr
    assert one.read_bytes() == two.read_bytes()
    assert strict(there.stdout) | {"out": ""} == here | {"out": ""}
    assert here["packed_bytes"] == one.stat().st_size
    assert here["accuracy"]["share"] * here["accuracy"]["n"] == pytest.approx(here["accuracy"]["correct"])
    assert main(["measure", str(one), "--json"]) == 0
    again = strict(capsys.readouterr().out)
    assert again["latency"]["batch"] == flow.LATENCY_BATCH
    assert {key: again[key] for key in ("accuracy", "packed_bytes", "cost", "energy_uj", "report")} == {
        key: here[key] for key in ("accuracy", "packed_bytes", "cost", "energy_uj", "report")
    }


def test_the_table_for_people_says_the_same(recipe: Path, tmp_path: Path, capsys: Capture) -> None:
    recipe.write_text(RECIPE)
    out = tmp_path / "net.labkit"
    assert main(["compress", "digits-small", "--recipe", str(recipe), "-o", str(out)]) == 0
    text = capsys.readouterr().out
    assert f"bytes       {out.stat().st_size:,}" in text
    assert f"saved       {out}" in text
    assert "1,491 of 1,864 weights, a share of 0.7999" in text


def test_a_recipe_of_another_network_is_carried_out_with_a_word(recipe: Path, capsys: Capture) -> None:
    recipe.write_text(RECIPE.replace("digits-small", "vgg\x1b-small").replace("digits\n", "fashion-mnist\n").replace("\x1b", "x"))
    assert main(["compress", "digits-small", "--recipe", str(recipe)]) == 0
    assert "was saved for vggx-small; it is carried out on digits-small" in capsys.readouterr().err


# --- what can be wrong

BAD_RECIPES = {
    "sparsity": (RECIPE.replace("0.8", "1.2").encode(), r"UniformRatioConfig.sparsity must be in \[0, 0.99\], got 1.2"),
    "nan": (RECIPE.replace("0.8", ".nan").encode(), "must be a number in .* got nan"),
    "empty": (b"", "is empty"),
    "broken": (b"{{{", "not YAML"),
    "version": (RECIPE.replace("version: 1", "version: 9").encode(), "version must be 1, got int 9"),
    "garbage": (bytes(range(256)) * 9, "UTF-8"),
    "cut": (RECIPE[:30].encode(), "data must be a name, got nothing"),
    "twice": ((RECIPE + "seed: 1\nseed: 2\n").encode(), "'seed' a second time"),
    "huge": (b" " * (1 << 20), "more than 262144 bytes"),
    "glob": ((RECIPE + "    layers: nix\n").encode(), r"step 1 \(magnitude\): unknown layer 'nix'"),
    "no step": (RECIPE.split("  - ")[0].encode() + b"  - method: weight\n", r"step 1 \(weight\): a recipe's step must change"),
}


@pytest.mark.parametrize(("content", "words"), BAD_RECIPES.values(), ids=BAD_RECIPES)
def test_a_bad_recipe_is_one_sentence_and_the_old_file_stays(
    recipe: Path, tmp_path: Path, capsys: Capture, content: bytes, words: str
) -> None:
    recipe.write_bytes(content)
    out = tmp_path / "net.labkit"
    out.write_bytes(b"precious")
    assert re.search(words, sentence(capsys, "compress", "digits-small", "--recipe", recipe, "-o", out))
    assert out.read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path)) == ["in", "net.labkit"]


def test_bad_paths_and_names_are_one_sentence(recipe: Path, tmp_path: Path, capsys: Capture) -> None:
    cases: list[tuple[str, tuple[object, ...]]] = [
        ("did you mean 'digits-small'", ("compress", "digits-smal", "--recipe", recipe)),
        ("unknown network", ("compress", "x" * 5000, "--recipe", recipe)),
        ("No such file", ("compress", "digits-small", "--recipe", tmp_path / "missing")),
        ("not an ordinary file", ("compress", "digits-small", "--recipe", tmp_path)),
        ("not an ordinary file", ("compress", "digits-small", "--recipe", "/dev/zero")),
        ("is not a folder: make it first", ("compress", "digits-small", "--recipe", recipe, "-o", tmp_path / "missing" / "net")),
        ("is not a folder", ("compress", "digits-small", "--recipe", recipe, "-o", tmp_path / ("x" * 300) / "net")),
        ("is a folder", ("compress", "digits-small", "--recipe", recipe, "-o", tmp_path)),
        ("No such file", ("measure", tmp_path / "missing")),
        ("not an ordinary file", ("measure", tmp_path)),
        ("no readable header", ("measure", recipe)),
        ("unknown network", ("zoo", "train", "nix", "--out", tmp_path)),
        ("existing folder", ("zoo", "train", "digits-small", "--out", tmp_path / "missing")),
        ("unknown", ("data", "fetch", "nix")),
        ("unknown", ("lab", "nix", "--no-browser")),
    ]
    for words, args in cases:
        assert words in sentence(capsys, *args), args


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(recipe: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.os, "access", lambda *_: False)  # the tests may be run by root, whom no mode stops
    monkeypatch.setattr(flow, "run", lambda *_: pytest.fail("it was begun"))
    assert "cannot be written to" in sentence(capsys, "compress", "digits-small", "--recipe", recipe, "-o", "net")


def test_a_damaged_file_is_one_sentence_that_names_it(recipe: Path, tmp_path: Path, capsys: Capture) -> None:
    recipe.write_text(RECIPE)
    whole, bad = tmp_path / "net.labkit", tmp_path / "bad.labkit"
    assert main(["compress", "digits-small", "--recipe", str(recipe), "-o", str(whole)]) == 0
    raw = whole.read_bytes()
    capsys.readouterr()
    for content in (b"", raw[:9], raw[:-1], raw[:1000] + b"\xff" + raw[1001:]):
        bad.write_bytes(content)
        assert sentence(capsys, "measure", bad).startswith(f"labkit: {bad}: ")


def test_nan_in_a_checkpoint_is_one_sentence(recipe: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    model = models.load("digits-small")
    with torch.no_grad():
        model.get_parameter("fc.weight")[0, 0] = float("nan")
    zoo.write(model, tmp_path / "digits-small.safetensors", "digits-small")
    monkeypatch.setattr(models, "load", lambda name: zoo.load(name, tmp_path))
    assert "'fc.weight' holds NaN" in sentence(capsys, "compress", "digits-small", "--recipe", recipe)


def test_a_taken_port_is_one_sentence(capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} cannot be used" in sentence(capsys, "lab", "--port", port, "--no-browser")


@pytest.mark.parametrize(
    "args", [[], ["nix"], ["compress"], ["lab", "--port", "0"], ["lab", "--port", "x"], ["lab", "--port", "65536"], ["zoo"]]
)
def test_a_wrong_call_exits_with_2(args: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(args)
    assert caught.value.code == 2
    assert "usage: labkit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (LabkitError("two\nlines and \x1b[2J"), 1, "labkit: two lines and  [2J\n"),
        (KeyboardInterrupt(), 130, "labkit: stopped\n"),
        (OSError(28, "No space left on device"), 1, "labkit: [Errno 28] No space left on device\n"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_what_ends_a_command_becomes_its_exit_code(
    error: BaseException, code: int, words: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "_methods", fail)
    assert main(["methods"]) == code
    assert capsys.readouterr() == ("", words)


# --- stopping


def test_ctrl_c_while_it_fine_tunes_leaves_the_old_file(recipe: Path, tmp_path: Path) -> None:
    """The listener's first line says that training goes on; it is made to come at once."""
    recipe.write_text(RECIPE + "  - method: masked_finetune\n    epochs: 1000\n")
    out = tmp_path / "net.labkit"
    out.write_bytes(b"precious")
    code = "import sys; from labkit.core import progress; progress._Lines.EVERY = 0.0; from labkit.cli import main; sys.exit(main())"
    call = [sys.executable, "-c", code, "compress", "digits-small", "--recipe", str(recipe), "-o", str(out)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while not (line := process.stderr.readline()).startswith("training: "):
            assert line, "it ended before it trained"
        process.send_signal(signal.SIGINT)
        rest, out_text = process.stderr.read(), process.stdout.read() if process.stdout else ""
        assert process.wait(timeout=200) == 130
    assert out_text == ""
    assert rest.splitlines()[-1] == "labkit: stopped"
    assert "Traceback" not in rest
    assert out.read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path)) == ["in", "net.labkit"]


# --- help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains(command: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command.split(), "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert len(text.split()) > 12
    if not command:
        assert all(f"  {number}" in text for number in ("0 ", "1 ", "2 ", "130"))


def test_help_comes_without_heavy_imports() -> None:
    code = "import sys\nimport labkit.cli\nlabkit.cli.parser().format_help()\nprint([m for m in ('torch', 'numpy', 'yaml', 'tqdm') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100).stdout == "[]\n"


def test_the_recipe_in_the_help_is_one() -> None:
    from labkit.core.recipe import from_yaml

    text = cli._COMPRESS.split("A recipe reads:\n")[1].split("\n`labkit")[0]
    assert [step.method for step in from_yaml(text).steps] == ["magnitude", "masked_finetune"]


def test_lists_of_networks_and_sets(capsys: Capture) -> None:
    assert main(["zoo", "list"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == list(zoo.names())
    assert main(["data", "list"]) == 0
    assert [row.split()[0] for row in capsys.readouterr().out.splitlines()[1:]] == ["fashion-mnist", "digits"]

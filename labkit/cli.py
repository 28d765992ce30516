"""The command line: `labkit lab | methods | compress | measure | zoo | data | bench | warm | new-lab`.

Every error that a person can mend is one sentence on standard error and exit code 1; a wrong call of the command itself
is argparse's and exits with 2; Ctrl-C exits with 130 and leaves nothing half-written. Heavy imports wait until a command
needs them, so that `--help` answers at once.
"""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from labkit import __version__
from labkit.cli_output import drop_output, one_line, print_json, report, table
from labkit.core.errors import Cancelled, LabkitError
from labkit.core.progress import terminal_bar

_EXAMPLES = """examples:
  labkit lab                                  open the labs in the browser
  labkit lab 02 --port 9000                   open one lab on another port
  labkit methods --json                       every method with its settings, as JSON
  labkit compress vgg-small-bn --recipe prune.yaml -o small.labkit
  labkit measure small.labkit                 accuracy, bytes, MACs and latency of a saved network
  labkit zoo train lenet-5 --out trained      train a network of the zoo again

exit codes:
  0    done
  1    something is wrong that you can mend; standard error says what, in a sentence
  2    the command was called wrongly
  130  stopped with Ctrl-C; nothing is left half-written

Results go to standard output, messages and progress to standard error.
"""
_COMPRESS = """Carry out a recipe on a trained network, measure the result on all test images, and save it.

The same recipe gives the same accuracy and the same bytes each time on the same machine. A recipe reads:

  version: 1
  network: vgg-small-bn
  data: fashion-mnist
  seed: 0
  steps:
    - method: magnitude
      granularity: {name: weight}
      ratio: {name: uniform_ratio, sparsity: 0.9}
      scope: global
    - method: masked_finetune
      epochs: 1

`labkit methods --json` lists the methods with their settings; `layers: 'conv*'` in a step limits it to some layers.
"""
_BENCH = "Time every kernel against dense float32 torch and the best peer that is installed, interleaved, on one thread."
_FORM = argparse.RawDescriptionHelpFormatter
_NEW_LAB = "Write the first version of a lab, a panel and a notebook that work, and say what is left to do. Never replaces a file."
_TRAIN = """Train a network of the zoo from its first weights, on the full training set.

After each epoch the run is kept in DIR/NETWORK.partial.safetensors. A run that was stopped, or killed, goes on there when
the command is given again, and ends with the weights that it would have had; then the file is deleted.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no µ shows a question mark
    args = parser().parse_args(argv)
    command: Callable[[argparse.Namespace], None] = args.command
    try:
        command(args)
        sys.stdout.flush()  # here, where a full disk is still told
    except (KeyboardInterrupt, Cancelled):
        return _fail("stopped", 130)
    except BrokenPipeError:  # `labkit methods | head`: who reads has seen enough
        drop_output()
        return 0
    except LabkitError as error:
        return _fail(str(error), 1)
    except OSError as error:  # files of ours raise a LabkitError; this is the output's, or the system's
        drop_output()
        return _fail(str(error), 1)
    return 0


def _fail(why: str, code: int) -> int:
    print(f"labkit: {one_line(why)}", file=sys.stderr)
    return code


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        "labkit", description="A lab bench for small, fast neural networks.", epilog=_EXAMPLES, formatter_class=_FORM
    )
    top.add_argument("--version", action="version", version=f"labkit {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    lab = _add(commands, "lab", _lab, "open the labs in the browser", "Serve the labs to this machine until Ctrl-C, and open one.")
    lab.add_argument("name", nargs="?", metavar="NAME", help="a lab's name or number, as in `labkit lab 02`; the way in if left out")
    lab.add_argument("--port", type=_port, default=8866, help="port on 127.0.0.1 (default 8866)")
    lab.add_argument("--no-browser", action="store_true", help="only serve, open nothing")
    under = "path that every address begins with, for a proxy that hands the whole path on, such as /user/ada/labkit/ (default /)"
    lab.add_argument("--base-url", default="/", metavar="PATH", help=under)

    methods = _add(
        commands, "methods", _methods, "list the methods", "List every method with its family, the labs that show it, and its source."
    )
    methods.add_argument(
        "--json", action="store_true", help="print everything as JSON: settings with default, range, step, choices, unit and meaning"
    )

    compress = _add(commands, "compress", _compress, "compress a network by a recipe", _COMPRESS)
    compress.add_argument("network", metavar="NETWORK", help="a network of the zoo (see `labkit zoo list`)")
    compress.add_argument("--recipe", type=Path, required=True, metavar="FILE", help="YAML or JSON, as *Save recipe* in a lab writes it")
    compress.add_argument("-o", "--out", type=Path, metavar="FILE", help="where to save the packed network; a file there is replaced")
    compress.add_argument("--json", action="store_true", help="print the measurements as JSON")

    about = "Load a .labkit file and measure accuracy, bytes, parameters, MACs, modelled energy, and latency on one thread."
    measure = _add(commands, "measure", _measure, "measure a saved network", about)
    measure.add_argument("file", type=Path, metavar="FILE", help="a file that `labkit compress` or a lab saved")
    measure.add_argument("--json", action="store_true", help="print the measurements as JSON")

    _add_zoo_and_data(commands)
    timing = _add(commands, "bench", _bench, "time the kernels", _BENCH)
    timing.add_argument("--only", default="", metavar="GROUP", help="one topic or group of cases, such as lowbit or blocks")
    timing.add_argument("--rounds", type=int, default=31, help="timed calls of each (default 31)")
    timing.add_argument("--json", action="store_true", help="print JSON")
    _add(commands, "warm", _warm, "compile the kernels ahead", "Compile every kernel for this machine, so that labs start fast.")
    new = _add(commands, "new-lab", _new_lab, "begin a lab, in a checkout", _NEW_LAB)
    new.add_argument("name", metavar="NAME", help="as in docs/labs.md: two digits and words, 03_pruning_criteria")
    return top


def _add_zoo_and_data(commands: Any) -> None:
    zoo = commands.add_parser("zoo", help="list or train the trained networks", description="The trained networks that come with labkit.")
    actions = zoo.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add(actions, "list", _zoo_list, "list the networks with their accuracy", "List the networks, their accuracy and their training.")
    train = _add(actions, "train", _zoo_train, "train a network again", _TRAIN)
    train.add_argument("network", metavar="NETWORK", help="a network of the zoo (see `labkit zoo list`)")
    train.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="existing folder for checkpoint and card (default: here)")

    data = commands.add_parser("data", help="list or fetch data sets", description="The data sets that networks are trained and tested on.")
    actions = data.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add(
        actions,
        "list",
        _data_list,
        "list the sets and where they were found",
        "List the sets: images that come with labkit, and where more were found.",
    )
    fetch = _add(
        actions, "fetch", _data_fetch, "download a full set", "Download the full set that `labkit zoo train` needs; labs run without it."
    )
    fetch.add_argument("name", metavar="NAME", help="fashion-mnist")


def _add(group: Any, name: str, command: Callable[[argparse.Namespace], None], help: str, about: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = group.add_parser(name, help=help, description=about, formatter_class=_FORM)
    made.set_defaults(command=command)
    return made


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else 0
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"must be a port from 1 to 65535, got {text!r}")
    return port


def _lab(args: argparse.Namespace) -> None:
    from labkit.serve.app import serve

    serve(args.name, port=args.port, open_browser=not args.no_browser, base_url=args.base_url)


def _methods(args: argparse.Namespace) -> None:
    from labkit.core.registry import methods

    if args.json:
        print_json([method.describe() for method in methods()])
        return
    rows = [(method.name, method.family, " ".join(lab[:2] for lab in method.labs), method.source) for method in methods()]
    table(("method", "family", "labs", "source"), rows)


def _compress(args: argparse.Namespace) -> None:
    from dataclasses import replace

    from labkit import flow
    from labkit.core import recipe as recipes
    from labkit.core.files import write_atomic
    from labkit.models import zoo

    zoo.card(args.network)  # an unknown network is told before the recipe is read
    recipe = recipes.read(args.recipe)
    if recipe.network != args.network:
        print(f"labkit: the recipe was saved for {one_line(recipe.network)}; it is carried out on {args.network}", file=sys.stderr)
        recipe = replace(recipe, network=args.network, data=zoo.card(args.network).data)
    if args.out is not None:
        _check_out(args.out)
    with terminal_bar() as progress:
        result = flow.run(recipe, progress)
    if args.out is not None:
        write_atomic(args.out, result.file)
    report(result.compressed, result.measurement, args.json, recipe=recipe.digest, out=None if args.out is None else str(args.out))


def _check_out(path: Path) -> None:
    """Raise `LabkitError` where nothing can be saved, before the work is done that would be lost."""
    if not os.path.isdir(path.parent):
        raise LabkitError(f"{path.parent} is not a folder: make it first, or give -o another path")
    if os.path.isdir(path):
        raise LabkitError(f"{path} is a folder: give -o the path of a file")
    if not os.access(path.parent, os.W_OK):
        raise LabkitError(f"{path.parent} cannot be written to: give -o another path")


def _measure(args: argparse.Namespace) -> None:
    from labkit import data, flow
    from labkit.core.files import read_limited
    from labkit.formats.file import MOST_BYTES
    from labkit.models import zoo

    compressed = flow.load_file(args.file)
    images = data.load(zoo.card(compressed.network).data).test
    with terminal_bar() as progress:
        found = flow.measure(compressed, read_limited(args.file, MOST_BYTES), images, progress)
        found = flow.with_latency(found, compressed, images, progress)
    report(compressed, found, args.json)


def _zoo_list(_: argparse.Namespace) -> None:
    from labkit.core.errors import FileFormatError
    from labkit.models import zoo

    rows = []
    for name in zoo.names():
        try:
            card = zoo.card(name)
            rows.append((name, f"{card.accuracy:.2%}", card.data, f"{card.epochs} epochs, {card.seconds / 60:.0f} min on {card.host}"))
        except FileFormatError:
            is_there = (zoo.CHECKPOINTS / f"{name}.json").exists()
            rows.append((name, "–", "", "its card is damaged: install labkit again" if is_there else "not trained here"))
    table(("network", "accuracy", "data", "trained"), rows)


def _zoo_train(args: argparse.Namespace) -> None:
    from labkit.measure import host
    from labkit.train_zoo import train

    with terminal_bar() as progress:
        card = train(args.network, args.out, host.in_words(host.host()), progress)
    print(f"{card.name}: {card.accuracy:.2%} of {card.test_images:,} test images, written to {args.out / card.name}.safetensors")


def _data_list(_: argparse.Namespace) -> None:
    from labkit.data import sets

    table(("set", "train", "held out", "test", "full set"), sets.describe())


def _data_fetch(args: argparse.Namespace) -> None:
    from labkit.data.fetch import fetch

    with terminal_bar() as progress:
        print(fetch(args.name, progress))


def _bench(args: argparse.Namespace) -> None:
    from labkit import bench
    from labkit.measure import host

    if bench.missing():
        print(f"labkit: without peers of {', '.join(bench.missing())}: pip install 'labkit[bench]' brings them", file=sys.stderr)
    with terminal_bar() as progress:
        here = bench.machine(progress)
        rows = list(bench.bench(args.only, args.rounds, progress))
    if args.json:
        print_json({"version": 1, "host": host.host(), "machine": here.as_plain(), "rows": [bench.as_plain(row) for row in rows]})
        return
    print(f"one thread, {host.in_words(host.host())}; median of {args.rounds} interleaved rounds, quartiles of the ratio in brackets")
    table(bench.HEAD, [bench.in_words(row) for row in rows])
    print(here.in_words())


def _warm(_: argparse.Namespace) -> None:
    from labkit.runtime.warm import warm

    with terminal_bar() as progress:
        warm(progress)
    print("every kernel is compiled for this machine")


def _new_lab(args: argparse.Namespace) -> None:
    from labkit.new_lab import new_lab

    print(new_lab(args.name))

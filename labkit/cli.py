"""The command line: `labkit lab | methods | compress | measure | zoo | data | warm`.

Every error that a person can mend is one sentence on standard error and exit code 1; a wrong call of the command itself
is argparse's and exits with 2; Ctrl-C exits with 130 and leaves nothing half-written. Heavy imports wait until a command
needs them, so that `--help` answers at once.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit import __version__
from labkit.core.errors import Cancelled, LabkitError
from labkit.core.progress import terminal_bar

if TYPE_CHECKING:
    from labkit.core.records import Compressed, Measurement

_EXAMPLES = """examples:
  labkit lab                                  open the labs in the browser
  labkit lab 02 --port 9000                   open one lab on another port
  labkit methods --json                       every method with its settings, as JSON
  labkit compress vgg-small-bn --recipe prune.yaml -o small.labkit
  labkit measure small.labkit                 accuracy, bytes, MACs and latency of a saved network
  labkit zoo train lenet-5 --out trained      train a network of the zoo again
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = parser().parse_args(argv)
    command: Callable[[argparse.Namespace], None] = args.command
    try:
        command(args)
    except (KeyboardInterrupt, Cancelled):
        print("labkit: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `labkit methods | head`
        sys.stderr.close()
        return 0
    except LabkitError as error:
        print(f"labkit: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    form = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        "labkit", description="A lab bench for small, fast neural networks.", epilog=_EXAMPLES, formatter_class=form
    )
    top.add_argument("--version", action="version", version=f"labkit {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    lab = commands.add_parser("lab", help="open the labs in the browser", description="Serve the labs on this machine and open one.")
    lab.add_argument("name", nargs="?", metavar="NAME", help="a lab's name or number (02); the first one if left out")
    lab.add_argument("--port", type=_port, default=8866, help="port on 127.0.0.1 (default 8866)")
    lab.add_argument("--no-browser", action="store_true", help="only serve, open nothing")
    lab.set_defaults(command=_lab)

    methods = commands.add_parser("methods", help="list the methods", description="List every method with its family, labs and source.")
    methods.add_argument("--json", action="store_true", help="print everything, settings included, as JSON")
    methods.set_defaults(command=_methods)

    compress = commands.add_parser(
        "compress", help="compress a network by a recipe", description="Carry out a recipe on a trained network, measure it, and save it."
    )
    compress.add_argument("network", metavar="NETWORK", help="a network of the zoo (see `labkit zoo list`)")
    compress.add_argument("--recipe", type=Path, required=True, metavar="FILE", help="YAML or JSON, as *Save recipe* in a lab writes it")
    compress.add_argument("-o", "--out", type=Path, metavar="FILE", help="where to save the packed network")
    compress.add_argument("--json", action="store_true", help="print the measurements as JSON")
    compress.set_defaults(command=_compress)

    measure = commands.add_parser("measure", help="measure a saved network", description="Load a .labkit file, run it, and measure it.")
    measure.add_argument("file", type=Path, metavar="FILE", help="a file that `labkit compress` or a lab saved")
    measure.add_argument("--json", action="store_true", help="print the measurements as JSON")
    measure.set_defaults(command=_measure)

    zoo = commands.add_parser("zoo", help="list or train the trained networks", description="The networks that labkit ships.")
    actions = zoo.add_subparsers(title="actions", required=True, metavar="ACTION")
    actions.add_parser("list", help="list the networks with their accuracy").set_defaults(command=_zoo_list)
    train = actions.add_parser("train", help="train a network again", description="Train a network; a run that was stopped goes on.")
    train.add_argument("network", metavar="NETWORK", help="a network of the zoo")
    train.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="existing folder for checkpoint and card (default: here)")
    train.set_defaults(command=_zoo_train)

    data = commands.add_parser("data", help="list or fetch data sets", description="The data sets that networks are trained and tested on.")
    actions = data.add_subparsers(title="actions", required=True, metavar="ACTION")
    actions.add_parser("list", help="list the sets and where they were found").set_defaults(command=_data_list)
    fetch = actions.add_parser("fetch", help="download a full set", description="Download a set; labs run without it.")
    fetch.add_argument("name", metavar="NAME", help="fashion-mnist")
    fetch.set_defaults(command=_data_fetch)

    warm = commands.add_parser(
        "warm", help="compile the kernels ahead", description="Compile every kernel for this machine, so that labs start fast."
    )
    warm.set_defaults(command=_warm)
    return top


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else 0
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"must be a port from 1 to 65535, got {text!r}")
    return port


def _lab(args: argparse.Namespace) -> None:
    from labkit.serve.app import serve

    serve(args.name, port=args.port, open_browser=not args.no_browser)


def _methods(args: argparse.Namespace) -> None:
    from labkit.core.registry import methods

    if args.json:
        print(json.dumps([method.describe() for method in methods()], indent=2, ensure_ascii=False))
        return
    rows = [(method.name, method.family, " ".join(lab[:2] for lab in method.labs), method.source) for method in methods()]
    _table(("method", "family", "labs", "source"), rows)


def _compress(args: argparse.Namespace) -> None:
    from dataclasses import replace

    from labkit import flow
    from labkit.core import recipe as recipes
    from labkit.core.files import write_atomic
    from labkit.models import zoo

    zoo.card(args.network)  # an unknown network is told before the recipe is read
    recipe = recipes.read(args.recipe)
    if recipe.network != args.network:
        print(f"labkit: the recipe was saved for {recipe.network}; it is carried out on {args.network}", file=sys.stderr)
        recipe = replace(recipe, network=args.network, data=zoo.card(args.network).data)
    if args.out is not None and not args.out.parent.is_dir():
        raise LabkitError(f"{args.out.parent} is not a folder: make it first, or give -o another path")
    with terminal_bar() as progress:
        result = flow.run(recipe, progress)
    if args.out is not None:
        write_atomic(args.out, result.file)
    _report(result.compressed, result.measurement, args.json, recipe=recipe.digest, out=None if args.out is None else str(args.out))


def _measure(args: argparse.Namespace) -> None:
    from labkit import data, flow
    from labkit.models import zoo

    compressed = flow.load_file(args.file)
    images = data.load(zoo.card(compressed.network).data).test
    with terminal_bar() as progress:
        found = flow.measure(compressed, args.file.read_bytes(), images, progress)
        found = flow.with_latency(found, compressed, images, progress)
    _report(compressed, found, args.json)


def _report(compressed: "Compressed", found: "Measurement", as_json: bool, **extra: Any) -> None:
    from dataclasses import asdict

    if as_json:
        print(json.dumps({"network": compressed.network, **extra, **asdict(found), "report": list(compressed.report)}, indent=2))
        return
    a, c = found.accuracy, found.cost
    print(f"network     {compressed.network}")
    for line in compressed.report:
        print(f"            {line}")
    print(f"accuracy    {a.share:.2%} of {a.n:,} test images (95 % interval {a.low:.2%} to {a.high:.2%})")
    print(f"bytes       {found.packed_bytes:,}")
    print(f"parameters  {c.parameters:,}, {c.nonzeros:,} of them not zero")
    print(f"MACs        {c.macs:,} an image, {c.effective_macs:,} of them with a weight that is not zero")
    print(f"energy      {sum(found.energy_uj.values()):.1f} µJ an image (modelled)")
    if found.latency is not None:
        t = found.latency
        print(f"latency     {t.median_ms:.2f} ms for {t.batch} images, {t.threads} thread (quartiles {t.low_ms:.2f} to {t.high_ms:.2f})")
    if extra.get("out"):
        print(f"saved       {extra['out']}")


def _zoo_list(_: argparse.Namespace) -> None:
    from labkit.core.errors import FileFormatError
    from labkit.models import zoo

    rows = []
    for name in zoo.names():
        try:
            card = zoo.card(name)
            rows.append((name, f"{card.accuracy:.2%}", card.data, f"{card.epochs} epochs, {card.seconds / 60:.0f} min on {card.host}"))
        except FileFormatError:
            rows.append((name, "–", "", "not trained here"))
    _table(("network", "accuracy", "data", "trained"), rows)


def _zoo_train(args: argparse.Namespace) -> None:
    from labkit.measure import host
    from labkit.train_zoo import train

    with terminal_bar() as progress:
        card = train(args.network, args.out, host.in_words(host.host()), progress)
    print(f"{card.name}: {card.accuracy:.2%} of {card.test_images:,} test images, written to {args.out / card.name}.safetensors")


def _data_list(_: argparse.Namespace) -> None:
    from labkit.data import sets

    _table(("set", "train", "held out", "test", "full set"), sets.describe())


def _data_fetch(args: argparse.Namespace) -> None:
    from labkit.data.fetch import fetch

    with terminal_bar() as progress:
        print(fetch(args.name, progress))


def _warm(_: argparse.Namespace) -> None:
    from labkit.runtime.warm import warm

    with terminal_bar() as progress:
        warm(progress)
    print("every kernel is compiled for this machine")


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their head, each column as wide as it needs; the last may be long."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(head) - 1)]
    for row in cells:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip())

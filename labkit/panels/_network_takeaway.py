"""What a person takes home of a compressed network: the program, the recipe, the packed network."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ipywidgets

from labkit.core.recipe import Recipe
from labkit.core.records import Compressed
from labkit.execution import RunConfig
from labkit.panels._download import Download
from labkit.panels._network_code import program
from labkit.panels._takeaway import Takeaway

HINT = "The program makes the network on show, the recipe is replayed by the command labkit compress, the model is the file whose size the strip tells."

PARTIAL = "Training was cancelled on the way to this network. The model is saved as it is; program and recipe train to the end, and so make another one."


@dataclass(frozen=True)
class Taken:
    """The network on show, as far as it is known.

    Attributes:
        recipe: what makes it.
        series: the curve that it belongs to.
        zeros: share of the dense network's weights that are gone.
        compressed: the network itself; None while batch norm is still being measured anew.
        reached: share of the last step's training that was done when it was cancelled; None where nothing was.
        how: it is run while it is timed.
    """

    recipe: Recipe
    series: str
    zeros: float
    compressed: Compressed | None
    reached: float | None = None
    how: RunConfig = field(default_factory=RunConfig)

    @property
    def name(self) -> str:
        """Name for a file: network, method and share of zeros in percent."""
        series = re.sub(r"[^a-z0-9]+", "-", self.series.lower()).strip("-")
        return f"{self.recipe.network}-{series}-{100 * self.zeros:.0f}"


class NetworkTakeaway(Takeaway):
    """The card with the three ways to take a network home.

    Args:
        ask: returns the network on show.
        file: returns the bytes of a network's file.
        guard: makes a callback safe.
        download: saves files.
        say: shows a sentence in the status line.
    """

    def __init__(
        self,
        ask: Callable[[], Taken],
        file: Callable[[Compressed], bytes],
        guard: Any,
        download: Download,
        say: Callable[[str], None],
    ) -> None:
        self._ask, self._file, self._download, self._say = ask, file, download, say
        self.recipe_button = ipywidgets.Button(description="Save recipe", tooltip="The settings as YAML, for the command labkit compress")
        self.model_button = ipywidgets.Button(description="Save model", tooltip="The packed network, as a .labkit file")
        self.recipe_button.on_click(guard(lambda _: self.save_recipe()))
        self.model_button.on_click(guard(lambda _: self.save_model()))
        self._is_waiting = False
        buttons = (self.recipe_button, self.model_button)
        super().__init__(self._program_of_it, guard, HINT, "A Python program that makes this network", buttons)

    def _program_of_it(self) -> str:
        taken = self._ask()
        return program(taken.recipe, taken.how)

    def draw(self) -> None:
        self.view.say(HINT if self._ask().reached is None else PARTIAL)
        super().draw()

    def moved(self) -> None:
        """Forget a file that was asked for: the network on show is another one."""
        self._is_waiting = False

    def settled(self) -> None:
        """Save the file that was asked for before the network had settled."""
        if self._is_waiting:
            self.save_model()

    def save_recipe(self) -> None:
        """Save the recipe as YAML."""
        taken = self._ask()
        self._download.save(f"{taken.name}.yaml", recipe_file(taken).encode(), "application/yaml")
        if taken.reached is not None:
            self._say(f"Saved. {PARTIAL}")

    def save_model(self) -> None:
        """Save the packed network, or do so once it has settled."""
        taken = self._ask()
        self._is_waiting = taken.compressed is None
        if taken.compressed is None:
            self._say("Batch norm is still being measured anew: the file is saved as soon as that is done.")
            return
        self._download.save(f"{taken.name}.labkit", self._file(taken.compressed))
        self._say("")


def recipe_file(taken: Taken) -> str:
    """Return the recipe as YAML, with the command that replays it."""
    note = (
        ""
        if taken.reached is None
        else "# Training was cancelled on the way to the network on show: this recipe trains to the end, and so makes another one.\n"
    )
    return f"# labkit compress {taken.recipe.network} --recipe {taken.name}.yaml --out {taken.name}.labkit\n{note}{taken.recipe.to_yaml()}"

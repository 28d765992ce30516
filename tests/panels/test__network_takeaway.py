"""What is taken home is what the page shows: bytes to the byte, a recipe that replays, and an honest word where it cannot."""

from dataclasses import replace
from pathlib import Path

import pytest

from labkit import flow
from labkit.core import recipe as recipes
from labkit.panels._download import Download
from labkit.panels._network_code import program
from labkit.panels._network_takeaway import NetworkTakeaway, Taken, recipe_file
from labkit.workbench import Workbench
from tests.panels import entries


class Bag(Download):
    """Keeps what the browser would save."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}

    def save(self, name: str, content: bytes, kind: str = "application/octet-stream") -> None:
        self.files[name] = content


@pytest.fixture(scope="module")
def bench() -> Workbench:
    return Workbench("digits-small")


@pytest.fixture
def taken(bench: Workbench) -> Taken:
    recipe = entries.state(0.8, "channel").recipe("digits")
    return Taken(recipe, "channel (tuned)", 0.876, bench.compress(recipe))


def card(bench: Workbench, what: list[Taken], said: list[str]) -> tuple[NetworkTakeaway, Bag]:
    bag = Bag()
    return NetworkTakeaway(lambda: what[-1], bench.file, lambda callback: callback, bag, said.append), bag


def test_files_are_named_by_network_method_and_zeros(taken):
    assert taken.name == "digits-small-channel-tuned-88"


def test_the_model_is_the_file_whose_size_is_told_and_loads(bench, taken, tmp_path):
    made, bag = card(bench, [taken], [])
    made.model_button.click()
    ((name, content),) = bag.files.items()
    assert name == "digits-small-channel-tuned-88.labkit"
    assert content == bench.file(taken.compressed)
    path = tmp_path / name
    path.write_bytes(content)
    assert bench.file(flow.load_file(path)) == content


def test_a_network_that_has_not_settled_is_saved_once_it_has(bench, taken):
    what, said = [replace(taken, compressed=None)], []
    made, bag = card(bench, what, said)
    made.model_button.click()
    assert bag.files == {}
    assert "as soon as that is done" in said[-1]
    what.append(taken)
    made.settled()
    assert list(bag.files.values()) == [bench.file(taken.compressed)]
    bag.files.clear()
    made.settled()
    assert bag.files == {}, "once"


def test_a_file_that_was_asked_for_is_forgotten_when_the_network_changes(bench, taken):
    what = [replace(taken, compressed=None)]
    made, bag = card(bench, what, [])
    made.model_button.click()
    made.moved()
    what.append(taken)
    made.settled()
    assert bag.files == {}


def test_the_recipe_replays_to_the_same_bytes(bench, taken, tmp_path: Path):
    made, bag = card(bench, [taken], [])
    made.recipe_button.click()
    ((name, content),) = bag.files.items()
    (tmp_path / name).write_bytes(content)
    read = recipes.read(tmp_path / name)
    assert read.digest == taken.recipe.digest
    assert flow.run(read).file == bench.file(taken.compressed)


def test_where_training_was_cancelled_the_recipe_says_that_it_goes_on(bench, taken):
    said: list[str] = []
    part = replace(taken, reached=0.4)
    made, bag = card(bench, [part], said)
    made.recipe_button.click()
    assert "make another one" in said[-1]
    assert "train to the end" not in made.view._summary.value
    made.draw()
    assert "train to the end" in made.view._summary.value
    assert "# Training was cancelled" in next(iter(bag.files.values())).decode()
    assert recipes.from_yaml(recipe_file(part)).digest == part.recipe.digest
    assert "cancelled" not in recipe_file(taken)


def test_the_code_is_made_when_people_want_it_and_follows_the_network(bench, taken):
    what = [taken]
    made, _ = card(bench, what, [])
    made.draw()
    assert made._holder.children == ()
    made.code_button.value = True
    (code,) = made._holder.children
    assert code.text == program(taken.recipe)
    what.append(replace(taken, recipe=replace(taken.recipe, seed=9)))
    made.draw()
    assert "seed=9" in code.text
    made.code_button.value = False
    assert made._holder.children == ()

"""A state and its link are the same thing; a link that anybody may have written is never more than a state."""

from dataclasses import dataclass, field, replace
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.core import registry
from labkit.core.errors import ConfigError
from labkit.core.params import Config, param
from labkit.core.registry import Method, register
from labkit.panels._link import MOST_CHARACTERS, link_of, read_link
from labkit.panels.pruning_granularity import State
from labkit.pruning.criterion.magnitude import MagnitudeConfig
from labkit.pruning.schedule.masked_finetune import MaskedFinetuneConfig

LAYERS = {"vgg-small-bn": ("conv1", "conv5"), "lenet-5": ("conv1", "fc & more=1")}


@dataclass(frozen=True, kw_only=True)
class Pair(Config):
    n: int = param(2, low=1, high=16, step=1, help="of m")
    m: int = param(4, low=1, high=16, step=1, help="a group")

    def validate(self):
        if self.n > self.m:
            raise ConfigError(f"Pair.n must be at most m, got {self.n} of {self.m}")


@dataclass(frozen=True)
class Everything(State):
    pair: Pair = field(default_factory=Pair)
    count: int = 3
    share: float = 0.25


def choices(name, state):
    return {"network": tuple(LAYERS), "layer": LAYERS[state.network]}.get(name, ())


FIRST = Everything(layer="conv1")
shares = st.floats(0.0, 0.99)
prunes = st.builds(
    lambda granularity, sparsity, scope, recalibrate, p: MagnitudeConfig.from_dict(
        {
            "granularity": granularity,
            "ratio": {"name": "uniform_ratio", "sparsity": sparsity},
            "scope": scope,
            "recalibrate": recalibrate,
            "p": p,
        }
    ),
    st.sampled_from(["weight", "channel"]),
    shares,
    st.sampled_from(["layer", "global"]),
    st.integers(0, 1000),
    st.floats(0.5, 4.0),
)
tunes = st.builds(
    MaskedFinetuneConfig,
    epochs=st.integers(1, 1000),
    lr_factor=st.floats(0.001, 1.0),
    momentum=st.floats(0.0, 0.999),
    flip=st.booleans(),
)
pairs = st.integers(1, 16).flatmap(lambda m: st.builds(Pair, n=st.integers(1, m), m=st.just(m)))
places = st.sampled_from([(network, layer) for network, layers in LAYERS.items() for layer in layers])
states = st.builds(
    lambda place, tuned, *rest: Everything(place[0], place[1], tuned, *rest),
    places,
    st.booleans(),
    prunes,
    tunes,
    pairs,
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
)


@given(states, states)
def test_a_state_comes_back_from_its_link_exactly(state, first):
    read = read_link(link_of(state, first), first, choices)
    assert read.state == state
    assert read.notes == ()


def test_only_what_differs_is_written_and_it_reads_well():
    assert link_of(FIRST, FIRST) == ""
    prune = MagnitudeConfig.from_dict({"granularity": "channel", "ratio": {"name": "uniform_ratio", "sparsity": 0.8}})
    state = replace(FIRST, network="lenet-5", prune=prune, is_tuned=True)
    text = link_of(state, FIRST)
    assert text == "network=lenet-5&is_tuned=true&prune.granularity=channel&prune.ratio.sparsity=0.8"


KEYS = ["network", "layer", "is_tuned", "prune", "prune.ratio.sparsity", "prune.granularity", "pair.n", "pair.m", "count", "share", "tune"]
VALUES = [
    "NaN",
    "inf",
    "-inf",
    "1e999",
    "-1",
    "9" * 60,
    "0x10",
    "1_0",
    "٣",
    "true",
    "",
    "%",
    "%zz",
    "\x00",
    "channel",
    "<script>",
    "__class__",
]


@given(st.lists(st.tuples(st.sampled_from(KEYS) | st.text(), st.sampled_from(VALUES) | st.text())), st.booleans())
def test_any_text_gives_a_valid_state(words, is_quoted):
    text = "&".join(f"{key}={quote(value, errors='replace') if is_quoted else value}" for key, value in words)
    read = read_link(text, FIRST, choices)
    state = read.state
    assert state.layer in LAYERS[state.network] or state.layer == FIRST.layer
    assert MagnitudeConfig.from_dict(state.prune.to_dict()) == state.prune
    assert Pair.from_dict(state.pair.to_dict()) == state.pair
    assert all(type(getattr(state, name)) is type(getattr(FIRST, name)) for name in ("network", "layer", "is_tuned", "count", "share"))
    assert len(read.sentence) < 600
    assert read.sentence.isprintable()
    assert read_link(link_of(state, FIRST), FIRST, choices).state == state


@given(st.text())
@settings(max_examples=200)
def test_any_noise_is_harmless(text):
    state = read_link(text, FIRST, choices).state
    assert read_link(link_of(state, FIRST), FIRST, choices).state == state


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("colour=red", "colour is no setting of this lab"),
        ("__class__=1", "__class__ is no setting of this lab"),
        ("prune.__class__.__init__=1", "prune.__class__.__init__ is no setting of this lab"),
        ("prune.ratio.sparsity.real=1", "prune.ratio.sparsity.real is no setting of this lab"),
        ("network=gpt-9", "network has no choice gpt-9"),
        ("layer=conv9", "layer has no choice conv9"),
        ("prune.granularity=dust", "prune.granularity has no choice dust"),
        ("prune.ratio.sparsity=NaN", "prune.ratio.sparsity must be a number, not NaN"),
        ("prune.ratio.sparsity=1e999", "prune.ratio.sparsity must be a number, not 1e999"),
        ("is_tuned=perhaps", "is_tuned must be true or false, not perhaps"),
        ("pair.n=9", "pair.n does not go with the rest"),
        ("prune=l2", "prune has no choice l2"),
        ("pair=weight", "pair has no choice weight"),
        ("network=lenet-5&network=lenet-5", "network is given twice"),
        ("count=" + "1" * MOST_CHARACTERS, "it is too long to be one of this lab's"),
        ("count=%3Cscript%3E", "count must be a number, not <script>"),
    ],
)
def test_what_cannot_be_followed_is_said_and_left_out(text, clause):
    read = read_link(text, FIRST, choices)
    assert read.notes == (clause,)
    assert read.sentence == f"Not all of the link could be followed: {clause}."
    if "network=lenet" not in text:
        assert read.state == FIRST


@pytest.mark.parametrize(
    ("text", "found"),
    [("prune.ratio.sparsity=7", 0.99), ("prune.ratio.sparsity=-1e9", 0.0), ("prune.p=0", 0.5)],
)
def test_numbers_are_clamped_to_their_range(text, found):
    read = read_link(text, FIRST, choices)
    *path, name = text.partition("=")[0].split(".")
    value = read.state
    for each in (*path, name):
        value = getattr(value, each)
    assert value == found
    assert f"{found:g} was taken" in read.sentence


def test_whole_numbers_are_rounded_and_one_bad_word_spoils_no_other():
    read = read_link("tune.epochs=2.6&colour=red&prune.granularity=channel&&=&pair.n=9&pair.m=8", FIRST, choices)
    assert read.state.tune.epochs == 3
    assert read.state.prune == MagnitudeConfig.from_dict({"granularity": "channel"})
    assert read.state.pair == Pair(n=2, m=8)
    assert len(read.notes) == 3


def test_settings_that_only_fit_together_are_taken_together():
    assert read_link("pair.n=6&pair.m=8", FIRST, choices).state.pair == Pair(n=6, m=8)


def test_ten_megabytes_are_refused_at_once():
    assert read_link("prune.ratio.sparsity=0.8&" * 400_000, FIRST, choices).state == FIRST


@dataclass(frozen=True, kw_only=True)
class Coarse(Config):
    size: int = param(4, low=1, high=64, step=1, help="of a block")


@dataclass(frozen=True, kw_only=True)
class Fine(Config):
    size: int = param(1, low=1, high=64, step=1, help="of a block")
    depth: int = param(1, low=1, high=8, step=1, help="of it")


@dataclass(frozen=True)
class Switched:
    kind: Config = field(default_factory=Coarse)


@pytest.fixture
def toys(monkeypatch):
    registry.methods()
    monkeypatch.setattr(registry, "_METHODS", dict(registry._METHODS))
    monkeypatch.setattr(registry, "_BY_CONFIG", dict(registry._BY_CONFIG))
    for name, config in (("coarse", Coarse), ("fine", Fine)):
        register(Method(name, "toy.kind", "bench", config, lambda *_: None, "nobody 2026", (), lambda: None))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Coarse(), ""),
        (Coarse(size=8), "kind.size=8"),
        (Fine(), "kind=fine"),
        (Fine(size=4, depth=3), "kind=fine&kind.size=4&kind.depth=3"),
    ],
)
def test_another_method_is_written_from_its_own_defaults(toys, kind, text):
    first = Switched()
    assert link_of(Switched(kind), first) == text
    assert read_link(text, first, choices).state == Switched(kind)

"""A pruning step as a recipe writes it: parts by name, checked, and the same after a round trip."""

import pytest

from labkit.core.errors import ConfigError, UnknownNameError
from labkit.core.params import canonical_json
from labkit.pruning.criterion.magnitude import MagnitudeConfig
from labkit.pruning.granularity.channel import ChannelConfig
from labkit.pruning.granularity.weight import WeightConfig
from labkit.pruning.ratio.uniform_ratio import UniformRatioConfig


def test_a_step_is_complete_without_a_word_and_survives_a_round_trip() -> None:
    config = MagnitudeConfig()
    assert config.granularity == WeightConfig()
    assert config.ratio == UniformRatioConfig()
    plain = config.to_dict()
    assert plain["granularity"] == {"name": "weight"}
    assert plain["ratio"] == {"name": "uniform_ratio", "sparsity": 0.5, "budget": 1.0}
    assert (plain["scope"], plain["p"]) == ("layer", 1.0)
    assert MagnitudeConfig.from_dict(config.to_dict()) == config
    assert hash(config) == hash(MagnitudeConfig())


def test_parts_come_as_names_as_mappings_or_as_configs() -> None:
    values = {"granularity": "channel", "ratio": {"name": "uniform_ratio", "sparsity": 0.9}, "scope": "global", "p": 2}
    config = MagnitudeConfig.from_dict(values)
    assert config.granularity == ChannelConfig()
    assert config == MagnitudeConfig(granularity=ChannelConfig(), ratio=UniformRatioConfig(sparsity=0.9), scope="global", p=2.0)
    text = canonical_json(config.to_dict())
    assert text.startswith('{"granularity":{"name":"channel"},"p":2.0,"ratio":{"budget":1.0,"name":"uniform_ratio","sparsity":0.9},')
    assert config.replace(granularity="weight").granularity == WeightConfig()


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (
            {"granularity": "wieght"},
            UnknownNameError,
            r"MagnitudeConfig\.granularity: unknown method of pruning\.granularity 'wieght': did you mean 'weight'",
        ),
        ({"granularity": "uniform_ratio"}, UnknownNameError, r"MagnitudeConfig\.granularity: unknown method"),
        (
            {"granularity": UniformRatioConfig()},
            ConfigError,
            r"MagnitudeConfig\.granularity must be a method of pruning\.granularity, got 'uniform_ratio'",
        ),
        ({"granularity": 3}, ConfigError, r"MagnitudeConfig\.granularity must be a name or \{name: …\}"),
        ({"granularity": {"name": ["weight"]}}, ConfigError, r"MagnitudeConfig\.granularity must be a name"),
        ({"granularity": {"n": 2}}, ConfigError, r"MagnitudeConfig\.granularity must be a name"),
        (
            {"ratio": {"name": "uniform_ratio", "sparsity": 1.2}},
            ConfigError,
            r"UniformRatioConfig\.sparsity must be in \[0, 0\.99\], got 1\.2",
        ),
        ({"ratio": {"name": "uniform_ratio", "sparsty": 0.5}}, UnknownNameError, "did you mean 'sparsity'"),
        ({"scope": "model"}, ConfigError, r"MagnitudeConfig\.scope must be one of layer, global, got 'model'"),
    ],
)
def test_what_is_wrong_is_said_with_where(values: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        MagnitudeConfig.from_dict(values)

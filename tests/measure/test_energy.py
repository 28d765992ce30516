import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.errors import ConfigError
from labkit.core.records import Cost
from labkit.measure.cost import cost
from labkit.measure.energy import DRAM_PJ, MAC_PJ, MULTIPLY_PJ, EnergyConfig, dram_bytes, energy, intensity, roofline
from labkit.models import zoo

WEIGHTS = 266_200
LENET = Cost(WEIGHTS + 410, WEIGHTS + 410, WEIGHTS, WEIGHTS, (300, 100, 10))
SMALL = Cost(300_000, 300_000, 5_000_000, 5_000_000)

costs = st.builds(
    lambda macs, share, acts: Cost(macs, macs, macs, int(macs * share), tuple(acts)),
    st.integers(0, 10**8), st.floats(0, 1), st.lists(st.integers(0, 10**6), max_size=5),
)  # fmt: skip
configs = st.builds(
    lambda bits, batch, buffer: EnergyConfig(bits=bits, batch=batch, buffer=buffer),
    st.sampled_from((32, 16, 8)), st.integers(1, 256), st.integers(0, 4 << 20),
)  # fmt: skip


def share(parts: dict[str, float]) -> float:
    return parts["dram"] / sum(parts.values())


def test_lenet_300_100_one_image_at_a_time() -> None:
    parts = energy(LENET, WEIGHTS * 4, EnergyConfig())
    assert parts == pytest.approx({"compute": 1.22452, "on_chip": 2.662, "dram": 170.368})
    assert sum(parts.values()) == pytest.approx(174.2545, abs=5e-5)
    assert share(parts) == pytest.approx(0.978, abs=5e-4)


def test_lenet_300_100_with_reuse() -> None:
    parts = energy(LENET, WEIGHTS * 4, EnergyConfig(batch=64))
    assert sum(parts.values()) == pytest.approx(6.5485, abs=5e-5)
    assert share(parts) == pytest.approx(0.407, abs=5e-4)


def test_five_million_macs() -> None:
    parts = energy(SMALL, 1_200_000, EnergyConfig())
    assert parts == pytest.approx({"compute": 23, "on_chip": 50, "dram": 192})
    assert share(parts) == pytest.approx(0.725, abs=5e-4)
    assert share(energy(SMALL, 1_200_000, EnergyConfig(batch=64))) == pytest.approx(0.039, abs=5e-4)


def test_the_zoos_lenet_is_the_one_of_the_example() -> None:
    found = cost(zoo.build("lenet-300-100"), torch.zeros(1, 1, 28, 28))
    assert energy(found, WEIGHTS * 4, EnergyConfig()) == energy(LENET, WEIGHTS * 4, EnergyConfig())


def test_a_word_from_dram_costs_173_multiplications() -> None:
    assert round(DRAM_PJ / MULTIPLY_PJ["fp32"]) == 173
    assert {bits: round(pj, 6) for bits, pj in MAC_PJ.items()} == {32: 4.6, 16: 1.5, 8: 0.3}


@pytest.mark.parametrize(("bits", "compute", "on_chip"), [(32, 4.6, 10.0), (16, 1.5, 5.0), (8, 0.3, 2.5)])
def test_a_million_macs_at_each_width(bits: int, compute: float, on_chip: float) -> None:
    parts = energy(Cost(0, 0, 10**6, 10**6), 0, EnergyConfig(bits=bits))
    assert parts == pytest.approx({"compute": compute, "on_chip": on_chip, "dram": 0.0})


def test_weights_that_fit_the_buffer_never_move() -> None:
    assert energy(LENET, 65_536, EnergyConfig())["dram"] == 0.0
    assert energy(LENET, 65_537, EnergyConfig())["dram"] == pytest.approx(640 * 65_537 / 4 * 1e-6)
    assert energy(SMALL, 1, EnergyConfig(buffer=0, batch=256))["dram"] == pytest.approx(640 / 4 / 256 * 1e-6)


def test_an_activation_that_exceeds_the_buffer_is_written_and_read_whatever_the_batch() -> None:
    model = Cost(0, 0, 0, 0, (1000, 1001, 10))
    assert dram_bytes(model, 0, EnergyConfig(buffer=4000)) == 2 * 1001 * 4
    assert dram_bytes(model, 0, EnergyConfig(buffer=4000, batch=64)) == 2 * 1001 * 4
    assert dram_bytes(model, 0, EnergyConfig(buffer=4000, bits=16)) == 0
    assert dram_bytes(model, 0, EnergyConfig(buffer=1000, bits=8)) == 2 * 1001


def test_zeros_are_free_only_where_the_format_skips_them() -> None:
    pruned = Cost(100, 10, 1000, 100)
    kept, skipped = energy(pruned, 0, EnergyConfig()), energy(pruned, 0, EnergyConfig(), skips_zeros=True)
    assert kept["compute"] == pytest.approx(10 * skipped["compute"])
    assert kept["on_chip"] == pytest.approx(10 * skipped["on_chip"])


@given(costs, st.integers(0, 10**7), configs)
def test_parts_are_three_and_never_negative(model: Cost, size: int, config: EnergyConfig) -> None:
    parts = energy(model, size, config)
    assert list(parts) == ["compute", "on_chip", "dram"]
    assert all(value >= 0 and math.isfinite(value) for value in parts.values())


@given(costs, st.integers(0, 10**7), configs, st.integers(2, 9))
def test_it_is_linear_in_macs_and_the_weight_term_in_bytes_over_batch(model: Cost, size: int, config: EnergyConfig, k: int) -> None:
    once = energy(model, size, config)
    more = energy(Cost(0, 0, k * model.macs, 0, model.activations), size, config)
    assert (more["compute"], more["on_chip"]) == pytest.approx((k * once["compute"], k * once["on_chip"]))
    assert more["dram"] == once["dram"]
    without = dram_bytes(model, 0, config)
    weights = dram_bytes(model, size, config) - without
    assert weights == pytest.approx(size / config.batch if size > config.buffer else 0, abs=1e-6)


def test_intensity_of_one_image_is_a_half() -> None:
    moved = dram_bytes(LENET, WEIGHTS * 4, EnergyConfig())
    assert intensity(LENET.macs, moved) == 0.5
    assert intensity(LENET.macs, dram_bytes(LENET, WEIGHTS * 4, EnergyConfig(batch=64))) == 32
    assert intensity(1, 0) == math.inf


@pytest.mark.parametrize(("operations", "reached"), [(0.5, 10.0), (5.0, 100.0), (50.0, 100.0), (math.inf, 100.0), (0.0, 0.0)])
def test_the_roof_is_bandwidth_then_peak(operations: float, reached: float) -> None:
    assert roofline(operations, 100.0, 20.0) == reached


@pytest.mark.parametrize(("peak", "bandwidth"), [(0, 1), (1, 0), (-1, 1), (math.nan, 1)])
def test_a_machine_that_does_nothing_has_no_roof(peak: float, bandwidth: float) -> None:
    with pytest.raises(ConfigError, match="must be above 0"):
        roofline(1, peak, bandwidth)


@pytest.mark.parametrize("size", [-1, math.nan, math.inf])
def test_bytes_are_a_number_of_bytes(size: float) -> None:
    with pytest.raises(ConfigError, match="weight_bytes must be"):
        energy(LENET, size, EnergyConfig())


@pytest.mark.parametrize(("name", "bad"), [(spec.name, bad) for spec in EnergyConfig.specs() for bad in spec.bad_values()])
def test_bad_settings_are_refused(name: str, bad: Any) -> None:
    with pytest.raises(ConfigError, match=rf"EnergyConfig\.{name} must be"):
        EnergyConfig(**{name: bad})

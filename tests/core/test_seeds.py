import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit.core.seeds import generator


def draw(seed: int, *purpose: str) -> list[int]:
    return torch.randint(0, 2**31, (4,), generator=generator(seed, *purpose)).tolist()


def test_the_same_seed_and_purpose_draw_the_same() -> None:
    assert draw(3, "init") == draw(3, "init") == draw(np.int64(3), "init")  # type: ignore[arg-type]


def test_each_seed_and_purpose_draw_their_own() -> None:
    drawn = [
        draw(0),
        draw(1),
        draw(0, "init"),
        draw(0, "shuffle"),
        draw(0, "init", "shuffle"),
        draw(0, "initshuffle"),
        draw(0, "init', 'shuffle"),
    ]
    assert len({tuple(each) for each in drawn}) == len(drawn)


def test_the_draws_never_change_from_release_to_release() -> None:
    seed = hashlib.sha256(b"(0, ('init',))").digest()[:7]
    assert generator(0, "init").initial_seed() == int(seed.hex(), 16)


@given(st.integers(-(2**70), 2**70))
def test_any_whole_number_is_a_seed(seed: int) -> None:
    assert draw(seed) == draw(seed)


def test_a_fraction_is_no_seed() -> None:
    with pytest.raises(TypeError):
        generator(1.5)  # type: ignore[arg-type]


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    draw(5, "x")
    assert torch.equal(before, torch.get_rng_state())

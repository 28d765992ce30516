"""Compiled kernels are kept, found again, and dropped when any kernel's file changes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import labkit
from labkit.core.progress import Progress
from labkit.formats.csr import CsrTensor
from labkit.formats.n_m import NMTensor
from labkit.runtime import packed
from labkit.runtime.kernels import (
    _cache,
    byte_lookup_linear,
    csr_linear,
    dense_int8_linear,
    int8_codes,
    int8_direct_conv,
    int8_linear,
    lookup_linear,
    n_m_linear,
    vector_linear,
    xnor_linear,
)
from labkit.runtime.kernels._bytes import VNNI
from labkit.runtime.kernels._simd import LANES
from labkit.runtime.kernels.transpose import transpose
from labkit.runtime.steps import Step
from labkit.runtime.warm import warm
from tests.formats import coded as made
from tests.formats.test_n_m import n_m_weight
from tests.runtime.integers import calibrated
from tests.runtime.test_coded import BYTE_LOOKUPS
from tests.runtime.test_packed import block_weight

KERNELS = Path(_cache.__file__).parent
ADD = """
import numpy as np
from labkit.runtime.kernels import _cache, lanes
from labkit.runtime.kernels._simd import LANES, aligned
a = aligned(3 * LANES)
a[: 2 * LANES] = np.repeat([5, 3], LANES)
row = np.zeros(32, np.int64)
row[[lanes.OTHER, lanes.TO]] = LANES, 2 * LANES
row[[lanes.CHANNELS, lanes.ROWS, lanes.COLUMNS]] = 1
lanes.add(a, row, np.float32(-100), np.float32(100))
hits = sum(lanes.add.stats.cache_hits.values())
print(int(a[2 * LANES]), hits, LANES, _cache.folder().name)
"""


def run(package, cache, code=ADD, **environment):
    """Run code in a fresh process with the labkit in `package` and its cache in `cache`."""
    names = {"PYTHONPATH": str(package), "XDG_CACHE_HOME": str(cache), "HOME": str(cache), **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | names, cwd=package, capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def copied(tmp_path):
    """A folder with a copy of labkit in which importing the kernels does not import torch."""
    source = Path(labkit.__file__).parent
    shutil.copytree(source, tmp_path / "labkit", ignore=shutil.ignore_patterns("sheets", "checkpoints", "__pycache__", "*.png"))
    (tmp_path / "labkit/runtime/__init__.py").write_text("")
    return tmp_path


def test_a_change_in_an_imported_file_is_noticed(copied):
    cold, warmed = run(copied, copied / "cache"), run(copied, copied / "cache")
    assert cold[:2] == ["8", "0"]
    assert warmed[:2] == ["8", "1"]  # from the cache
    simd = copied / "labkit/runtime/kernels/_simd.py"
    text = simd.read_text()
    assert text.count("builder.fadd(a, b))") == 1
    simd.write_text(text.replace("builder.fadd(a, b))", "builder.fsub(a, b))"))
    changed = run(copied, copied / "cache")
    assert changed[:2] == ["2", "0"]
    assert changed[3] != cold[3]


@pytest.mark.parametrize(("cpu", "features", "lanes"), [("haswell", "+avx,+avx2,+fma", "8"), ("x86-64", "+sse,+sse2", "4")])
def test_other_processors_take_other_lanes(copied, cpu, features, lanes):
    if "x86" not in os.uname().machine:
        pytest.skip("asks for x86 processors")
    result = run(copied, copied / "cache", NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES=features)
    assert result[0] == "8"
    assert result[2] == lanes


@pytest.mark.long
@pytest.mark.parametrize(("cpu", "features"), [("haswell", "+avx,+avx2,+fma"), ("x86-64", "+sse,+sse2")])
def test_all_kernels_on_other_processors(tmp_path, cpu, features):
    code = "import sys, pytest; sys.exit(pytest.main(['-p', 'no:cacheprovider', 'tests/runtime/kernels', 'tests/runtime/test_packed.py', 'tests/runtime/test_coded.py', 'tests/runtime/test_one.py']))"
    names = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features}
    assert "passed" in run(Path(labkit.__file__).parents[1], tmp_path, code, **names)


def test_the_stamp_depends_on_every_file(tmp_path):
    shutil.copytree(KERNELS, tmp_path / "kernels")
    stamps = {_cache.stamp(KERNELS)}
    assert _cache.stamp(tmp_path / "kernels") in stamps
    for file in (tmp_path / "kernels").glob("*.py"):
        file.write_text(file.read_text() + "\n# changed\n")
        stamps.add(_cache.stamp(tmp_path / "kernels"))
    assert len(stamps) == 1 + len(list(KERNELS.glob("*.py")))


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = _cache.folder.__wrapped__()
    assert place is not None
    assert place.parent == tmp_path / "labkit"
    place.chmod(0o777)
    assert _cache.folder.__wrapped__() is None
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert _cache.folder.__wrapped__() is None


def test_warm_reports_and_returns_the_folder():
    ticks = []
    assert warm(Progress(ticks.append)) == _cache.folder()
    total = ticks[0].total
    assert total > 3
    assert [(tick.done, tick.total) for tick in ticks] == [(done, total) for done in range(total + 1)]


def dispatchers(*modules):
    """Every kernel of some modules, those in tables of kernels as well."""
    left, found = [value for module in modules for value in vars(module).values()], []
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += value.values()
        elif (
            isinstance(value, Dispatcher) and not value.py_func.__name__.startswith("_") and value is not transpose
        ):  # only kernels call those
            found.append(value)
    return found


def test_after_warm_no_layer_compiles_anything():
    warm()
    kernels = dispatchers(csr_linear, vector_linear, n_m_linear, lookup_linear, byte_lookup_linear, xnor_linear)
    never = [lookup_linear.ROWS[2] if lookup_linear.PAIRS else lookup_linear.lookup_linear_pairs]
    assert len(kernels) > 30
    assert [kernel.py_func.__name__ for kernel in kernels if not kernel.signatures and kernel not in never] == []
    before = [len(kernel.signatures) for kernel in kernels]
    rng = np.random.default_rng(0)
    weights = [case(rng, (40, 300)) for case in BYTE_LOOKUPS.values()]
    weights += [NMTensor.pack(n_m_weight((40, 300), n, m, 0), m=m) for n, m in ((1, 2), (3, 4), (5, 8), (9, 16))]
    weights += [CsrTensor.pack(np.eye(40, 300, dtype=np.float32)), *(block_weight((40, 300), block, 0.5, 0) for block in (4, 8))]
    for weight in weights:
        for bits in (32, 8):
            layer = packed.layer_of(Step("linear", "layer", (0,), weight, input_bits=bits))
            for count in (1, LANES, 64):
                layer(np.ones((count, 300), np.float32))
    xnor_linear.XnorLinear(made.binary(rng, (40, 300)))(np.ones((3, 300), np.float32))
    assert [len(kernel.signatures) for kernel in kernels] == before


def test_after_warm_no_integer_network_compiles_anything():
    warm()
    linear = dispatchers(int8_linear, *([dense_int8_linear] if VNNI else []))
    assert [kernel.py_func.__name__ for kernel in linear if not kernel.signatures] == []
    kernels = [*linear, *dispatchers(int8_codes, int8_direct_conv)]
    before = [len(kernel.signatures) for kernel in kernels]
    assert {"int8_direct_conv", "int8_depthwise_conv", "requantize", "add"} <= {kernel.py_func.__name__ for kernel in kernels}
    for name in ("vgg-small-bn", "mobilenet-small"):
        program, test = calibrated(name)
        program(test[:1].tensor().numpy())
        program(test[:64].tensor().numpy())
    assert [len(kernel.signatures) for kernel in kernels] == before

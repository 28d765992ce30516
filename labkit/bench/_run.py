"""The run over all cases, topic by topic."""

from collections.abc import Callable, Iterator

from labkit.bench import convolutions, integer, linear, lowbit, networks
from labkit.bench._case import Case
from labkit.bench._rows import Row, measured
from labkit.core.errors import ConfigError
from labkit.core.progress import SILENT, Progress
from labkit.measure.latency import limited_threads

TOPICS = (linear, lowbit, integer, convolutions, networks)


def cases() -> dict[str, Callable[[], Iterator[Case]]]:
    """Return the groups of cases by name, in the order in which they run."""
    return {make.__name__: make for topic in TOPICS for make in topic.CASES}


def bench(only: str = "", rounds: int = 31, progress: Progress = SILENT) -> Iterator[Row]:
    """Measure the cases one by one, on one thread.

    Args:
        only: name of a group of cases, or of a topic such as `lowbit`; "" for all.
        rounds: timed calls of each candidate.
        progress: asked whether to go on.

    Raises:
        ConfigError: nothing is called `only`.
    """
    topics = {topic.__name__.rpartition(".")[2]: topic.CASES for topic in TOPICS}
    groups = cases()
    makers = topics.get(only) or [make for name, make in groups.items() if only in ("", name)]
    if not makers:
        raise ConfigError(f"bench: there is no group {only!r}; there are {', '.join(dict.fromkeys((*topics, *groups)))}")
    for make in makers:
        with limited_threads(1):  # also where a program chooses its formats
            for case in make():
                progress.check()
                yield measured(case, rounds)

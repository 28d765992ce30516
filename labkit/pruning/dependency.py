"""placeholder"""

from typing import Any


class DependencyGroup:
    name: str


def dependency_groups(*a: Any) -> Any: ...
def example_of(*a: Any) -> Any: ...

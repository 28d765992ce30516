"""A compressed network as a short Python program, generated from its recipe."""

from labkit.core.recipe import Recipe
from labkit.execution import RunConfig
from labkit.panels._code import script, text

AS_USUAL = RunConfig()
_END = """\
result = flow.run(recipe)  # data → model → compress → pack → compile → measure
found = result.measurement
print(f"accuracy  {{found.accuracy.share:.2%}} of {{found.accuracy.n:,}} test images")
print(f"size      {{found.packed_bytes:,}} bytes")

images = flow.load_data(recipe).test{cut}
latency = flow.with_latency(found, result.compressed, images{formats}).latency
print(f"latency   {{latency.median_ms:.2f}} ms for {{latency.batch}} images, one thread")
"""


def program(recipe: Recipe, how: RunConfig = AS_USUAL) -> str:
    """Return a program that carries a recipe out, measures the network and saves it; with every setting spelled out.

    Args:
        recipe: to be carried out.
        how: the network is run while it is timed.
    """
    cut = "" if how.batch == AS_USUAL.batch else f"[:{how.batch}]"
    formats = "" if how.format == "auto" else f", formats={text(how.format)}"
    saved = f"Path({text(f'{recipe.network}-{recipe.digest}.labkit')}).write_bytes(result.file)\n"
    used = {"labkit": {"flow"}, "labkit.core.recipe": {"Step"}}
    return script(used, {"recipe": recipe}, _END.format(cut=cut, formats=formats) + saved, "from pathlib import Path")

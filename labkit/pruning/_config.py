"""What every pruning step says besides its criterion's own settings: what goes together, how much, compared with what."""

from dataclasses import dataclass

from labkit.core.params import Config, param, part


@dataclass(frozen=True, kw_only=True)
class PruningConfig(Config):
    """Base of the criteria's configs, so that one step of a recipe is complete in itself."""

    granularity: Config = part("pruning.granularity", "weight", help="which weights stay or go together")
    ratio: Config = part("pruning.ratio", "uniform_ratio", help="how large a share of each layer goes")
    scope: str = param("layer", choices=("layer", "global"), help="compare scores within each layer, or over all layers at once")
    recalibrate: int = param(
        10, low=0, high=1000, unit="batches", help="training batches that measure batch norm anew after pruning; 0 leaves it as it was"
    )

"""A compressed network as a file and back: every tensor in its smallest lossless form, the builder's name in the header.

The network is rebuilt by its builder; then every layer takes the sizes of the tensors that the file holds, so a network
whose channels were removed, or whose batch norms were folded, comes back as it was. An entry that a mask removes is
a zero that is not stored, one inside the mask is stored even if it is zero: the mask is the pattern of what is stored.
A weight of -0.0, which a mask leaves behind, is saved as +0.0.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labkit.core.errors import FileFormatError, LabkitError, ModelError, unknown_name
from labkit.core.records import Compressed
from labkit.formats import Format, PlainFormat, smallest
from labkit.formats.file import from_bytes, to_bytes
from labkit.models.builders import BUILDERS
from labkit.models.zoo import INPUTS, build, check_finite

_KIND = "network"
_COUNTER = "num_batches_tracked"  # of batch norms; only training reads it
_HEADER = {"activations", "groups", "kind", "masked", "network", "report"}


def to_file(compressed: Compressed) -> bytes:
    """Return the bytes of the file that holds a compressed network: what every lab shows as its size.

    Raises:
        UnknownNameError: no builder has the network's name, so that it could not be read again.
        ModelError: a tensor holds NaN or an infinity, or a mask removes a weight that is not zero.
    """
    if compressed.network not in BUILDERS:
        raise unknown_name("network", compressed.network, BUILDERS)
    state = {name: value.detach() for name, value in compressed.model.state_dict().items() if not name.endswith(_COUNTER)}
    for name in compressed.masks.keys() - state.keys():
        raise ModelError(f"there is a mask for {name!r}, which the network does not have")
    groups = {
        name: module.groups for name, module in compressed.model.named_modules() if isinstance(module, nn.Conv2d) and module.groups > 1
    }
    header = {
        "kind": _KIND,
        "network": compressed.network,
        "masked": sorted(compressed.masks),
        "groups": groups,
        "activations": {name: [scale, zero] for name, (scale, zero) in compressed.activations.items()},
        "report": list(compressed.report),
    }
    return to_bytes(header, {name: _pack(name, value, compressed) for name, value in state.items()})


def from_file(raw: bytes) -> Compressed:
    """Rebuild a compressed network from its file; its outputs are bit for bit those of the network that was saved.

    Raises:
        FileFormatError: the file is damaged or hostile, or its tensors make no network.
        UnknownNameError: it names a network that this labkit cannot build.
        ModelError: a tensor holds NaN or an infinity.
    """
    header, tensors = from_bytes(raw)
    _check_header(header)
    state = {name: torch.from_numpy(value.unpack()) for name, value in tensors.items()}
    check_finite(state)
    model = build(header["network"]).eval()
    _resize(model, state, header["groups"])
    _fill(model, state)
    _try_out(model, header["network"])
    return Compressed(
        model=model,
        network=header["network"],
        masks={name: _mask(name, tensors) for name in header["masked"]},
        values={name: value for name, value in tensors.items() if not isinstance(value, PlainFormat)},
        activations={name: (float(scale), int(zero)) for name, (scale, zero) in header["activations"].items()},
        report=tuple(header["report"]),
    )


def _pack(name: str, value: Tensor, compressed: Compressed) -> Format:
    """Pack one tensor; in NumPy, since starting torch's threads would cost more than the work."""
    if name in compressed.values:
        chosen: Format = compressed.values[name]
        if tuple(chosen.shape) != tuple(value.shape):
            raise ModelError(f"the value of {name!r} must have the parameter's shape {tuple(value.shape)}, got {tuple(chosen.shape)}")
        return chosen
    array, mask = value.cpu().numpy(), compressed.masks.get(name)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ModelError(f"the tensor {name!r} holds NaN or an infinity: the network is damaged, load or train it again")
        array = array + array.dtype.type(0)  # w · 0 is -0.0 for a negative w: made +0.0, which changes no sum
    if mask is None:
        return smallest(array)
    keep = mask.cpu().numpy()
    if keep.shape != array.shape:
        raise ModelError(f"the mask of {name!r} must have the parameter's shape {array.shape}, got {keep.shape}")
    if np.count_nonzero(array[~keep]):
        raise ModelError(f"the mask of {name!r} removes weights that are not zero: apply the mask to the model first")
    return smallest(array, keep=keep)


def _mask(name: str, tensors: dict[str, Format]) -> Tensor:
    value = tensors.get(name)
    if value is None:
        raise FileFormatError(f"the file says that {name[:80]!r} is masked but holds no such tensor")
    if not isinstance(value, PlainFormat):
        return torch.from_numpy(value.unpack() != 0)
    return torch.from_numpy(value.pattern())


def _check_header(header: dict[str, Any]) -> None:
    if header.get("kind") != _KIND or not isinstance(header.get("network"), str):
        raise FileFormatError(f"the file must hold a compressed network, got {str(header.get('kind'))[:40]!r}")
    if set(header) != _HEADER:
        raise FileFormatError(f"the header of a compressed network must hold {', '.join(sorted(_HEADER))}")
    groups, activations = header["groups"], header["activations"]
    fine = isinstance(groups, dict) and all(type(n) is int and n > 1 for n in groups.values())
    fine = fine and isinstance(activations, dict) and all(_is_scale(pair) for pair in activations.values())
    fine = fine and all(
        isinstance(header[key], list) and all(isinstance(text, str) for text in header[key]) for key in ("masked", "report")
    )
    if not fine:
        raise FileFormatError("the header of a compressed network has a value of the wrong type")


def _is_scale(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and type(pair[0]) in (int, float) and type(pair[1]) is int


def _resize(model: nn.Module, state: dict[str, Tensor], groups: dict[str, int]) -> None:
    """Give every layer the sizes of its tensors in the file; a batch norm that has none there was folded."""
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and not any(key.startswith(f"{name}.") for key in state):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, nn.Identity())
            continue
        for kind in ("weight", "bias", "running_mean", "running_var"):
            _replace(module, kind, state.get(f"{name}.{kind}"))
        if isinstance(module, nn.Conv2d):
            _resize_conv(name, module, groups.get(name, 1))
        elif isinstance(module, nn.Linear):
            module.out_features, module.in_features = module.weight.shape
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.running_mean is not None:
            module.num_features = len(module.running_mean)


def _resize_conv(name: str, conv: nn.Conv2d, groups: int) -> None:
    c_out, c_in = conv.weight.shape[:2]
    if c_out % groups or tuple(conv.weight.shape[2:]) != conv.kernel_size:
        raise FileFormatError(f"the convolution {name!r} cannot have a weight of {tuple(conv.weight.shape)} in {groups} groups")
    conv.out_channels, conv.in_channels, conv.groups = c_out, c_in * groups, groups


def _replace(module: nn.Module, kind: str, value: Tensor | None) -> None:
    """Put an empty parameter or buffer of the shape of `value` in the place of the module's own."""
    if value is None or not isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d):
        return
    old = getattr(module, kind, None)
    if old is not None and (old.dim() != value.dim() or old.dtype != value.dtype):
        raise FileFormatError(
            f"{kind} of a {type(module).__name__} must have {old.dim()} dimensions of {old.dtype}, got {value.dim()} of {value.dtype}"
        )
    layout = torch.channels_last if value.dim() == 4 else torch.contiguous_format
    fresh = torch.empty(tuple(value.shape), dtype=value.dtype).to(memory_format=layout)
    if kind.startswith("running"):
        module.register_buffer(kind, fresh)
    else:
        module.register_parameter(kind, nn.Parameter(fresh))


def _fill(model: nn.Module, state: dict[str, Tensor]) -> None:
    expected = {name for name in model.state_dict() if not name.endswith(_COUNTER)}
    if set(state) != expected:
        odd = sorted(set(state) ^ expected)[0]
        raise FileFormatError(
            f"the file's tensors are not those of the network: {odd[:80]!r} is {'missing' if odd in expected else 'too much'}"
        )
    try:
        model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise FileFormatError(f"the file's tensors do not fit the network: {str(error)[:300]}") from error


def _try_out(model: nn.Module, network: str) -> None:
    """Run one empty image, so that sizes that do not fit each other are noticed now."""
    shape = INPUTS["digits" if network.startswith("digits") else "fashion-mnist"]
    try:
        with torch.inference_mode():
            out = model(torch.zeros(shape))
    except (RuntimeError, ValueError, LabkitError) as error:
        raise FileFormatError(f"the layers of the network do not fit each other: {str(error)[:300]}") from error
    if out.dim() != 2 or len(out) != 1:
        raise FileFormatError(f"the network must give one row of logits an image, got shape {tuple(out.shape)}")

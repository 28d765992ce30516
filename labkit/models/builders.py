"""The networks of the zoo, as ordinary torch modules.

Each is small enough that its accuracy can follow a slider: at most 8 million multiply-accumulates (MACs) an image, 4 for
mobilenet-small, and at most 700,000 parameters. Input (n, 1, 28, 28), digits-small (n, 1, 8, 8); output logits (n, 10).
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import Tensor, nn


def named(**layers: nn.Module) -> nn.Sequential:
    """Return a sequence whose layers have names that say what they are: recipes and labs call them by these."""
    return nn.Sequential(OrderedDict(layers))


def conv(c_in: int, c_out: int, size: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Return a convolution with same padding and no bias, for a batch norm to follow."""
    return nn.Conv2d(c_in, c_out, size, stride, size // 2, groups=groups, bias=False)


def lenet_300_100() -> nn.Module:
    """Build LeNet-300-100: a multilayer perceptron 784-300-100-10. Source: LeCun et al. 1998, as in Han et al. 2015."""
    return perceptron((300, 100))


def perceptron(hidden: Sequence[int]) -> nn.Module:
    """Build a multilayer perceptron of 784 inputs, hidden layers of these widths with ReLU, and 10 outputs."""
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    c = 784
    for n, width in enumerate(hidden, start=1):
        layers |= {f"fc{n}": nn.Linear(c, width), f"act{n}": nn.ReLU()}
        c = width
    return named(**layers, **{f"fc{len(hidden) + 1}": nn.Linear(c, 10)})


def lenet_5() -> nn.Module:
    """Build LeNet-5 in Caffe's form, 20-50-500: two 5×5 convolutions without padding, two linear layers. Source: LeCun et al. 1998."""
    first = named(conv1=nn.Conv2d(1, 20, 5), act1=nn.ReLU(), pool1=nn.MaxPool2d(2))
    second = named(conv2=nn.Conv2d(20, 50, 5), act2=nn.ReLU(), pool2=nn.MaxPool2d(2))
    last = named(flatten=nn.Flatten(), fc1=nn.Linear(800, 500), act3=nn.ReLU(), fc2=nn.Linear(500, 10))
    return _chain(first, second, last)


def vgg_small_bn() -> nn.Module:
    """Build a VGG of seven 3×3 convolutions with batch norm, 16-16-32-32-64-64-96. Source: Simonyan and Zisserman 2014, arXiv:1409.1556."""
    return vgg((16, 16, 0, 32, 32, 0, 64, 64, 0, 96))


def vgg(widths: Sequence[int]) -> nn.Module:
    """Build a VGG of 3×3 convolutions with batch norm and ReLU: a number is a convolution's outputs, 0 halves the image."""
    layers: dict[str, nn.Module] = {}
    c = n = 0
    for width in widths:
        if not width:
            layers[f"pool{n}"] = nn.MaxPool2d(2)
            continue
        n += 1
        layers |= {f"conv{n}": conv(c or 1, width, 3), f"bn{n}": nn.BatchNorm2d(width), f"act{n}": nn.ReLU(inplace=True)}
        c = width
    return named(**layers, pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(c, 10))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut; the sum couples the channels of everything that flows into it."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1, self.act1 = conv(c_in, c_out, 3, stride), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv(c_out, c_out, 3), nn.BatchNorm2d(c_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.shortcut = named(conv=conv(c_in, c_out, 1, stride), bn=nn.BatchNorm2d(c_out))
        self.act2 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
        out: Tensor = self.act2(y + self.shortcut(x))
        return out


def resnet_small() -> nn.Module:
    """Build a residual network 16-24-24-48-48 of four basic blocks. Source: He et al. 2016, arXiv:1512.03385."""
    widths = ((16, 24, 1), (24, 24, 1), (24, 48, 2), (48, 48, 1))
    blocks = {f"block{n}": BasicBlock(*width) for n, width in enumerate(widths, start=1)}
    stem = named(conv=conv(1, 16, 3), bn=nn.BatchNorm2d(16), act=nn.ReLU(inplace=True), pool=nn.MaxPool2d(2))
    return named(stem=stem, **blocks, pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(48, 10))


class InvertedResidual(nn.Module):
    """1×1 expansion, depthwise 3×3, linear 1×1 projection, with a shortcut where shapes agree."""

    def __init__(self, c_in: int, c_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = c_in * expansion
        self.expand, self.bn1, self.act1 = conv(c_in, wide, 1), nn.BatchNorm2d(wide), nn.ReLU6(inplace=True)
        self.depthwise, self.bn2, self.act2 = conv(wide, wide, 3, stride, wide), nn.BatchNorm2d(wide), nn.ReLU6(inplace=True)
        self.project, self.bn3 = conv(wide, c_out, 1), nn.BatchNorm2d(c_out)
        self.has_shortcut = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.bn1(self.expand(x)))
        y = self.act2(self.bn2(self.depthwise(y)))
        out: Tensor = self.bn3(self.project(y))
        return x + out if self.has_shortcut else out


def mobilenet_small() -> nn.Module:
    """Build four inverted residual blocks 24-24-40-40 with ReLU6. Source: Sandler et al. 2018, arXiv:1801.04381."""
    widths = ((16, 24, 2, 4), (24, 24, 1, 4), (24, 40, 2, 4), (40, 40, 1, 4))
    blocks = {f"block{n}": InvertedResidual(*width) for n, width in enumerate(widths, start=1)}
    head = named(conv=conv(40, 96, 1), bn=nn.BatchNorm2d(96), act=nn.ReLU6(inplace=True))
    stem = named(conv=conv(1, 16, 3), bn=nn.BatchNorm2d(16), act=nn.ReLU6(inplace=True))
    return named(stem=stem, **blocks, head=head, pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(96, 10))


def digits_small() -> nn.Module:
    """Build two 3×3 convolutions with batch norm and a linear layer for 8×8 digits: the network of the tests."""
    first = named(conv1=conv(1, 8, 3), bn1=nn.BatchNorm2d(8), act1=nn.ReLU(inplace=True), pool1=nn.MaxPool2d(2))
    second = named(conv2=conv(8, 16, 3), bn2=nn.BatchNorm2d(16), act2=nn.ReLU(inplace=True), pool2=nn.MaxPool2d(2))
    return _chain(first, second, named(flatten=nn.Flatten(), fc=nn.Linear(64, 10)))


def _chain(*parts: nn.Sequential) -> nn.Sequential:
    return named(**{name: layer for part in parts for name, layer in part.named_children()})


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "lenet-300-100": lenet_300_100,
    "lenet-5": lenet_5,
    "vgg-small-bn": vgg_small_bn,
    "resnet-small": resnet_small,
    "mobilenet-small": mobilenet_small,
    "digits-small": digits_small,
}

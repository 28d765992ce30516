"""The networks of the zoo, as ordinary torch modules.

Each is small enough that its accuracy can follow a slider: at most 8 million multiply-accumulates (MACs) an image, 4 for
mobilenet-small, and at most 700,000 parameters. Input (n, 1, 28, 28), digits-small (n, 1, 8, 8); output logits (n, 10).
"""

from collections.abc import Callable

from torch import Tensor, nn


def conv_norm(
    c_in: int, c_out: int, size: int, *, stride: int = 1, groups: int = 1, act: type[nn.Module] | None = nn.ReLU
) -> nn.Sequential:
    """Return convolution (no bias, same padding), batch norm and, unless `act` is None, an activation."""
    layers: list[nn.Module] = [nn.Conv2d(c_in, c_out, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(c_out)]
    return nn.Sequential(*layers, *([act(inplace=True)] if act else []))


def lenet_300_100() -> nn.Module:
    """Build LeNet-300-100: a multilayer perceptron 784-300-100-10. Source: LeCun et al. 1998, as in Han et al. 2015."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))


def lenet_5() -> nn.Module:
    """Build LeNet-5 in Caffe's form, 20-50-500: two 5×5 convolutions without padding, two linear layers. Source: LeCun et al. 1998."""
    features = [nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))


def vgg_small_bn() -> nn.Module:
    """Build a VGG of seven 3×3 convolutions with batch norm, 16-16-32-32-64-64-96. Source: Simonyan and Zisserman 2014, arXiv:1409.1556."""
    layers: list[nn.Module] = []
    c = 1
    for width in (16, 16, 0, 32, 32, 0, 64, 64, 0, 96):
        if not width:
            layers.append(nn.MaxPool2d(2))
            continue
        layers += conv_norm(c, width, 3)
        c = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 10))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut; the sum couples the channels of everything that flows into it."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*conv_norm(c_in, c_out, 3, stride=stride), *conv_norm(c_out, c_out, 3, act=None))
        same = stride == 1 and c_in == c_out
        self.shortcut = nn.Identity() if same else conv_norm(c_in, c_out, 1, stride=stride, act=None)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.body(x) + self.shortcut(x))
        return y


def resnet_small() -> nn.Module:
    """Build a residual network 16-24-24-48-48 of four basic blocks. Source: He et al. 2016, arXiv:1512.03385."""
    blocks = [BasicBlock(16, 24, 1), BasicBlock(24, 24, 1), BasicBlock(24, 48, 2), BasicBlock(48, 48, 1)]
    return nn.Sequential(conv_norm(1, 16, 3), nn.MaxPool2d(2), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 10))


class InvertedResidual(nn.Module):
    """1×1 expansion, depthwise 3×3, linear 1×1 projection, with a shortcut where shapes agree."""

    def __init__(self, c_in: int, c_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = c_in * expansion
        expand = conv_norm(c_in, wide, 1, act=nn.ReLU6)
        depthwise = conv_norm(wide, wide, 3, stride=stride, groups=wide, act=nn.ReLU6)
        self.body = nn.Sequential(*expand, *depthwise, *conv_norm(wide, c_out, 1, act=None))
        self.has_shortcut = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.has_shortcut else y


def mobilenet_small() -> nn.Module:
    """Build four inverted residual blocks 16-24-24-40-40 with ReLU6. Source: Sandler et al. 2018, arXiv:1801.04381."""
    blocks = [
        InvertedResidual(16, 24, 2, 4),
        InvertedResidual(24, 24, 1, 4),
        InvertedResidual(24, 40, 2, 4),
        InvertedResidual(40, 40, 1, 4),
    ]
    head = conv_norm(40, 96, 1, act=nn.ReLU6)
    return nn.Sequential(conv_norm(1, 16, 3, act=nn.ReLU6), *blocks, head, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 10))


def digits_small() -> nn.Module:
    """Build two 3×3 convolutions with batch norm and a linear layer for 8×8 digits: the network of the tests."""
    return nn.Sequential(*conv_norm(1, 8, 3), nn.MaxPool2d(2), *conv_norm(8, 16, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10))


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "lenet-300-100": lenet_300_100,
    "lenet-5": lenet_5,
    "vgg-small-bn": vgg_small_bn,
    "resnet-small": resnet_small,
    "mobilenet-small": mobilenet_small,
    "digits-small": digits_small,
}

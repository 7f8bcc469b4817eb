"""A plain convolutional network with few knobs: the default for small images."""

from torch import Tensor, nn

POOLED = 4  # the last feature maps are averaged to about this size, lest the dense layer grow with the image


class SimpleCnn(nn.Module):
    """Blocks of convolution, BatchNorm, ReLU and pooling, a dense layer, the head.

    image (B, channels, height, width) → logits (B, num_classes). num_filters: of the first block, doubled in each
    further one. A block pools only while at least 4 rows and columns are left. dense_width: of the features.
    """

    def __init__(
        self,
        num_classes: int,
        channels: int,
        height: int,
        width: int,
        kernel_size: int = 3,
        num_filters: int = 32,
        dense_width: int = 128,
        blocks: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        for key, value in {"kernel_size": kernel_size, "num_filters": num_filters, "dense_width": dense_width}.items():
            if value < 1:
                raise ValueError(f"models.{key}={value}: use 1 or more")
        if blocks < 1:
            raise ValueError(f"models.blocks={blocks}: use 1 or more")
        layers: list[nn.Module] = []
        for block in range(blocks):
            pools = min(height, width) >= 2 * POOLED
            layers += _block(channels, num_filters * 2**block, kernel_size, pools)
            channels = num_filters * 2**block
            height, width = ((side + 1 - kernel_size % 2) // (2 if pools else 1) for side in (height, width))
        pool = max(1, height // POOLED), max(1, width // POOLED)
        self.body = nn.Sequential(*layers, nn.AvgPool2d(pool), nn.Flatten())
        pooled = channels * (height // pool[0]) * (width // pool[1])
        self.dense = nn.Sequential(nn.Linear(pooled, dense_width), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dense_width, num_classes)

    def features(self, image: Tensor) -> Tensor:
        """(B, dense_width)"""
        found: Tensor = self.dense(self.body(image))
        return found

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.features(image)))
        return logits


def _block(source: int, filters: int, kernel_size: int, pools: bool) -> list[nn.Module]:
    convolution = nn.Conv2d(source, filters, kernel_size, padding=kernel_size // 2, bias=False)
    layers: list[nn.Module] = [convolution, nn.BatchNorm2d(filters), nn.ReLU()]
    return [*layers, nn.MaxPool2d(2)] if pools else layers

"""Changed pictures: what a gate is to hold up against, it has to see while it is fitted."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageEnhance, ImageOps


@dataclass(frozen=True)
class Augmentation:
    """
    How far pictures are changed. Each amount is drawn anew for each picture.

    Args:
        flip: Whether a mirrored picture shows the same thing. Set it to False for text, road signs or flags.
        crop: The largest share of width and height that is cut off.
        rotation: The largest rotation, in degrees.
        brightness: The largest change of brightness, as a factor of 1 plus or minus this.
        noise: The largest standard deviation of added Gaussian noise, in [0, 1] pixel units.
        jpeg: The lowest JPEG quality.
    """

    flip: bool = True
    crop: float = 0.12
    rotation: float = 8.0
    brightness: float = 0.25
    noise: float = 0.03
    jpeg: int = 40

    def harder(self) -> Augmentation:
        """One that changes pictures twice as much."""
        return replace(
            self,
            crop=min(2 * self.crop, 0.9),
            rotation=2 * self.rotation,
            brightness=min(2 * self.brightness, 0.9),
            noise=2 * self.noise,
            jpeg=max(self.jpeg // 2, 1),
        )

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """A changed copy of `image`, of the same size, in RGB."""
        image = image.convert("RGB")
        width, height = image.size
        if self.flip and rng.random() < 0.5:
            image = ImageOps.mirror(image)
        corner = tuple(int(value) for value in image.resize((1, 1)).getpixel((0, 0)))  # type: ignore[union-attr]
        image = image.rotate(
            rng.uniform(-self.rotation, self.rotation), resample=Image.Resampling.BILINEAR, fillcolor=corner
        )
        kept = 1 - rng.uniform(0, self.crop)
        left, top = rng.uniform(0, 1 - kept, size=2)
        box = (left * width, top * height, (left + kept) * width, (top + kept) * height)
        image = image.resize((width, height), resample=Image.Resampling.BILINEAR, box=box)
        image = ImageEnhance.Brightness(image).enhance(1 + rng.uniform(-self.brightness, self.brightness))
        pixels = np.asarray(image, dtype=np.float64)
        pixels = pixels + rng.normal(0, 255 * rng.uniform(0, self.noise), size=pixels.shape)
        image = Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8))
        buffer = io.BytesIO()
        image.save(buffer, format="JPEG", quality=int(rng.integers(self.jpeg, 96)))
        return Image.open(buffer).convert("RGB")

import numpy as np
import pytest
from PIL import Image

from datamodule.decode import BadImage
from datamodule.mask_files import decode_mask


def test_palettes_give_their_numbers_and_jpegs_are_refused(encoded):
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    picture = Image.fromarray(mask)
    picture.putpalette(list(range(255, -1, -1)) * 3)
    assert (decode_mask(encoded(picture, "PNG"))[:, :, 0] == mask).all()
    with pytest.raises(BadImage, match=r"store masks as PNG"):
        decode_mask(encoded(mask, "JPEG"))

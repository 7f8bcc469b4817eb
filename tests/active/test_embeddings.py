import numpy as np
import pytest

from active.embeddings import from_bfloat16, kept, to_bfloat16


def test_an_embedding_is_made_once_for_its_images_and_its_source(tmp_path):
    made = []

    def make():
        made.append(1)
        return np.arange(12.0).reshape(3, 4)

    for contents, source in ((["a", "b", "c"], "one"), (["a", "b", "c"], "one"), (["a", "b", "c"], "two"),
                             (["a", "c", "b"], "one")):  # fmt: skip
        found = kept(tmp_path, contents, source, "float32", make)
        assert found.tolist() == np.arange(12.0).reshape(3, 4).tolist()
    assert len(made) == 3 and isinstance(found, np.memmap)


def test_a_making_that_fails_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError):
        kept(tmp_path, ["a"], "one", "float32", lambda: 1 / 0)
    assert not list(tmp_path.rglob("*.f32*"))


def test_bfloat16_takes_half_the_room_and_keeps_eight_bits(tmp_path):
    values = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    found = kept(tmp_path, [str(n) for n in range(50)], "one", "bfloat16", lambda: values)
    assert np.abs(found / values - 1).max() < 2**-8
    assert sum(file.stat().st_size for file in tmp_path.rglob("*.bf16")) == values.nbytes // 2
    assert from_bfloat16(to_bfloat16(np.float32([1.0, -2.5, 0.0]))).tolist() == [1.0, -2.5, 0.0]

import subprocess
import sys

import pytest

from models.prediction_settings import PredictionSettings


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"top_k": 0}, "top_k=0: use 1 or more"),
        ({"batch_size": -1}, "batch_size=-1"),
        ({"workers": 0}, "workers=0"),
        ({"threshold": 1.5}, "threshold=1.5 is no probability"),
        ({"output": "answers.txt"}, "output=answers.txt: its name must end in .csv or .parquet"),
    ],
)
def test_what_cannot_work_is_refused_by_key(values, said):
    with pytest.raises(ValueError, match=said):
        PredictionSettings(source="x", **values)


def test_settings_are_checked_before_torch_is_imported():
    line = "import sys, predict; sys.exit('torch' in sys.modules or 'fsspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", line], check=False).returncode == 0

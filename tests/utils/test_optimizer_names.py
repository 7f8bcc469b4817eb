import subprocess
import sys

from timm.optim import list_optimizers

from models.optimizers import TORCH_OWN
from utils.build import ROOT
from utils.optimizer_names import optimizer_names

UNKNOWN = ("optimizers=nonsense", "optimizers.option=nonsense", "optimizers.candidates=[nonsense]")


def test_the_names_in_the_sources_are_those_that_can_be_built():
    assert set(optimizer_names()) == set(list_optimizers()) | set(TORCH_OWN)


def test_an_unknown_name_is_refused_before_torch_is_imported():
    asked = "\n".join(
        f"""try:
    check(composed(["optimizers.lr=0.1", {override!r}]))
except ValueError as error:
    print(str(error).partition(": ")[0])"""
        for override in UNKNOWN
    )
    script = f"import sys; from tuning.checks import check; from utils.configuration import composed\n{asked}"
    done = subprocess.run(
        [sys.executable, "-c", f"{script}\nprint('torch' in sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [
        "optimizers.name=nonsense",
        "optimizers.option=nonsense",
        "optimizers.candidates=nonsense",
        "False",
    ]

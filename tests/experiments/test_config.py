"""One dataclass as flags, command line and folder name."""

import dataclasses

import pytest
from absl import flags

from experiments.config import check_choices, command, define_flags, digest, from_flags, identity, setting
from experiments.prune import Prune
from experiments.select import Select
from experiments.settings import Settings
from experiments.sweep import Sweep


@dataclasses.dataclass(frozen=True)
class Small:
    name: str = setting("snip", "A name.", lambda: ["snip", "grasp", "tfds:NAME"])
    yes: bool = setting(True, "A truth.")
    no: bool = setting(False, "Another.")
    count: int = setting(3, "A number.")
    levels: tuple[float, ...] = setting((0.5,), "Numbers.")
    names: tuple[str, ...] = setting(("snip",), "Names.", lambda: ["snip", "grasp"])
    where: str = setting("", "A folder.", names_run=False)


def parsed(*arguments, kind=Small):
    values = flags.FlagValues()
    define_flags(kind, "program", values)
    values(["program", *arguments])
    return from_flags(kind, values)


def test_without_flags_it_is_the_default():
    assert parsed() == Small()
    for kind in (Settings, Prune, Sweep):
        assert parsed(kind=kind) == kind()


def test_every_type_of_flag():
    given = ("--noyes", "--no=true", "--count=5", "--levels=0.9,0.98", "--names=grasp,snip", "--name=tfds:x")
    assert parsed(*given) == Small("tfds:x", False, True, 5, (0.9, 0.98), ("grasp", "snip"))


def test_command_is_read_back():
    config = Small("grasp", False, True, 5, (0.9, 0.98), ("grasp", "snip"), "a b")
    text = command(config, "experiments.prune")
    assert text.startswith("python -m experiments.prune --name=grasp --noyes --no --count=5 --levels=0.9,0.98")
    assert text.endswith("--where='a b'")


def test_what_a_program_sets_itself_is_no_flag():
    for kind, missing in ((Sweep, {"method", "sparsity"}), (Select, {"method", "sparsity", "network"})):
        values = flags.FlagValues()
        define_flags(kind, "program", values)
        assert missing.isdisjoint(values) and {f"{name}s" for name in missing - {"sparsity"}} <= set(values)
        assert parsed(kind=kind) == kind()
    cell = Select(networks=("conv_2",), seeds=1).cells()[0]
    assert cell.network == "conv_2" and "--network=" not in command(cell, "experiments.select")


def test_folder_is_named_by_what_differs_from_the_defaults():
    assert identity(Small(count=5, name="grasp", where="elsewhere")) == {"count": 5, "name": "grasp"}
    assert digest(Small()) == digest(Small(where="elsewhere")) != digest(Small(count=5))
    assert digest(Small(count=5)) == digest(Small(count=5, yes=True))


def test_a_new_field_with_a_default_keeps_old_names():
    Larger = dataclasses.make_dataclass("Larger", [("added", int, setting(1, "New."))], bases=(Small,), frozen=True)
    assert digest(Larger(count=5)) == digest(Small(count=5))
    assert digest(Larger(count=5, added=2)) != digest(Small(count=5))


def test_names_of_folders_do_not_drift():
    """Runs of today must be found by the code of tomorrow."""
    assert str(Settings().folder) == "runs/lenet_300_100-digits-snip-0.9-3806434b"
    grasp = Settings(method="grasp", sparsity=0.95, seed=3)
    assert grasp.folder.name.startswith("lenet_300_100-digits-grasp-0.95-")
    assert dataclasses.replace(grasp, compute="masked").folder == grasp.folder
    assert dataclasses.replace(grasp, compute="sparse").folder != grasp.folder


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--name=grsap"], r"Received: --name=grsap. Did you mean 'grasp'\? Valid names: snip, grasp, tfds:NAME"),
        (["--names=snip,grsap"], r"Received: --names=grsap. Did you mean 'grasp'"),
        (["--name=tfds:"], "Received: --name=tfds:."),
        (["--levels=0.9,x"], "--levels takes numbers, as in --levels=0.9,0.98. Received: 0.9,x."),
    ],
)
def test_wrong_values(arguments, text):
    with pytest.raises(ValueError, match=text):
        parsed(*arguments)


def test_help_lists_the_choices():
    values = flags.FlagValues()
    define_flags(Small, "program", values)
    assert "One of: snip, grasp, tfds:NAME." in values.get_help()


def test_choices_come_from_the_registries():
    check_choices(Settings(network="applications:EfficientNetB0", dataset="tfds:svhn_cropped", method="rigl"))
    with pytest.raises(ValueError, match=r"Did you mean 'resnet_20'\?"):
        check_choices(Settings(network="resnet20"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"sparsity": 1.0}, r"A sparsity is in \[0, 1\). Received: --sparsity=1."),
        ({"epochs": 0}, "--epochs is 1 or more. Received: --epochs=0."),
    ],
)
def test_settings_are_checked_before_anything_is_made(arguments, text):
    with pytest.raises(ValueError, match=text):
        Settings(**arguments)


def test_options_of_the_method():
    settings = Settings(distribution="erk", options=("rounds=3", "rate=0.5", "name=x", "flag=true", "none=None"))
    expected = {"distribution": "erk", "rounds": 3, "rate": 0.5, "name": "x", "flag": True, "none": None}
    assert settings.method_options() == expected
    with pytest.raises(ValueError, match="--options takes name=value,name=value. Received: 'rounds'."):
        Settings(options=("rounds",)).method_options()

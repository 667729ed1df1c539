"""One dataclass is the configuration, the command-line flags, and the name of the run's folder.

A field made by `setting` becomes a flag of its own name, type and help. The folder's name holds a hash of the fields
that differ from their defaults: a new field with a default leaves the names of old runs as they are. A program's class
names in `unread` the inherited fields that it does not read, or sets itself for each run of many: they are no flags.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shlex
import sys
import textwrap
import typing
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from absl import app, flags, logging

from tf_pai.registry import nearest

Config = TypeVar("Config")


def setting(
    default: Any,
    help: str,
    choices: Callable[[], Iterable[str]] | None = None,
    names_run: bool = True,
) -> Any:
    """Returns a dataclass field that becomes a flag.

    Args:
        default: its value where the flag is not given.
        help: one line on it.
        choices: gives the valid values, which `--help` lists; one with a colon, as "tfds:NAME", stands for all
            that begin as it does up to there.
        names_run: whether a run with another value is another run.
    """
    metadata = {"help": help, "choices": choices, "names_run": names_run}
    return dataclasses.field(default=default, metadata=metadata)


def flags_of(kind: Any) -> list[dataclasses.Field]:
    """Returns the fields that are flags: all but those that `unread` of the class names."""
    return [field for field in dataclasses.fields(kind) if field.name not in getattr(kind, "unread", ())]


def identity(config: Any) -> dict[str, Any]:
    """Returns the fields that make this run another one than the default: {name: value}, sorted by name."""
    named = [field for field in dataclasses.fields(config) if field.metadata["names_run"]]
    values = {field.name: getattr(config, field.name) for field in named}
    return {
        field.name: values[field.name]
        for field in sorted(named, key=lambda f: f.name)
        if values[field.name] != field.default
    }


def digest(config: Any) -> str:
    """Returns eight hexadecimal digits that stand for `identity(config)`."""
    return hashlib.blake2s(json.dumps(identity(config)).encode(), digest_size=4).hexdigest()


def command(config: Any, module: str) -> str:
    """Returns the command line that makes this configuration."""
    given = {f.name: getattr(config, f.name) for f in flags_of(config) if getattr(config, f.name) != f.default}
    return " ".join([f"python -m {module}", *(_flag(name, value) for name, value in given.items())])


def _flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    return f"--{name}={shlex.quote(','.join(map(str, value)) if isinstance(value, tuple) else str(value))}"


def check_choices(config: Any) -> None:
    """Raises a ValueError where a field is not one of its choices, with the nearest one."""
    for field in dataclasses.fields(config):
        value, choices = getattr(config, field.name), field.metadata["choices"]
        for one in value if isinstance(value, tuple) else (value,):
            if choices is not None and one != "" and not _is_choice(one, valid := list(choices())):
                raise ValueError(
                    f"--{field.name} takes one of a list of names. Received: --{field.name}={one}."
                    f"{nearest(one, valid)} Valid names: {', '.join(valid)}."
                )


def _is_choice(value: str, choices: list[str]) -> bool:
    """Tells whether a value is listed, or is of a listed family such as "tfds:NAME"."""
    family, colon, name = value.partition(":")
    return value in choices or (bool(name) and any(choice.startswith(family + colon) for choice in choices))


def define_flags(kind: type, module: str, values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines a flag for each field of a dataclass.

    Args:
        kind: the dataclass.
        module: the program whose `--help` lists them.
        values: where the flags are defined.
    """
    makers = {
        bool: flags.DEFINE_bool,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
        tuple[str, ...]: _texts,
        tuple[float, ...]: _numbers,
    }
    types = typing.get_type_hints(kind)
    for field in flags_of(kind):
        make = makers[types[field.name]]
        make(field.name, field.default, _help(field), flag_values=values, module_name=module)


def _texts(name: str, default: tuple[str, ...], help: str, **options: Any) -> None:
    flags.DEFINE_list(name, list(default), help, **options)


def _numbers(name: str, default: tuple[float, ...], help: str, **options: Any) -> None:
    flags.DEFINE_list(name, [str(number) for number in default], help, **options)


def _help(field: dataclasses.Field) -> str:
    if field.metadata["choices"] is None:
        return field.metadata["help"]
    return f"{field.metadata['help']} One of: {', '.join(field.metadata['choices']())}."


def from_flags(kind: type[Config], values: flags.FlagValues = flags.FLAGS) -> Config:
    """Returns the configuration that parsed flags make.

    Raises:
        ValueError: a value is not one of its field's choices, or no number where numbers are listed.
    """
    types = typing.get_type_hints(kind)
    config = kind(**{f.name: _typed(f.name, values[f.name].value, types[f.name]) for f in flags_of(kind)})
    check_choices(config)
    return config


def _typed(name: str, value: Any, kind: Any) -> Any:
    if kind != tuple[float, ...]:
        return tuple(value) if isinstance(value, list) else value
    try:
        return tuple(float(number) for number in value)
    except ValueError:
        raise ValueError(f"--{name} takes numbers, as in --{name}=0.9,0.98. Received: {','.join(value)}.") from None


def launch(kind: type[Config], main: Callable[[Config], None]) -> None:
    """Runs a program whose flags are the fields of `kind`; what the user got wrong is one message, no traceback."""

    def started(arguments: list[str]) -> None:
        try:
            if not flags.FLAGS["verbosity"].present:
                logging.set_verbosity(logging.WARNING)  # TensorFlow tells each file that it writes
            if len(arguments) > 1:
                raise ValueError(f"Everything is given as --name=value. Received: {' '.join(arguments[1:])}.")
            main(from_flags(kind))
        except (ValueError, TypeError, OSError) as error:
            if os.environ.get("TF_PAI_TRACEBACK"):
                raise
            _say(f"error: {error}\n(TF_PAI_TRACEBACK=1 shows where this comes from.)")
            sys.exit(2)
        except KeyboardInterrupt:
            _say("\nStopped. The same command goes on after the last complete epoch.")
            sys.exit(130)

    define_flags(kind, sys.argv[0])
    app.run(started)


def _say(text: str) -> None:
    for line in text.splitlines():
        print(textwrap.fill(line, 80), file=sys.stderr)

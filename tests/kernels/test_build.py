"""What happens where the library cannot be built as usual. A shell script plays the compiler, so that each is quick."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import warnings

import pytest

from tf_pai.kernels import __main__ as command_line
from tf_pai.kernels import build, library

COMPILER = """#!/bin/sh
[ "$1" = --version ] && echo "fake 1.0" && exit 0
{before}
echo "$*" >> {log}
for argument; do last=$argument; done
echo object > "$last"
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and a module that has not tried to load anything."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("TF_PAI_CACHE", str(folder))
    monkeypatch.setattr(library, "_loaded", None)
    monkeypatch.setattr(library, "_reason", None)
    return folder


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """Makes CXX name a script that runs `before`, notes its arguments in a log, and writes an output file.

    A new script takes the old one's place by renaming: a file that an orphan is about to execute cannot be written.
    """
    log = tmp_path / "log"

    def named(before=""):
        script, new = tmp_path / "compiler", tmp_path / "compiler.new"
        new.write_text(COMPILER.format(before=before, log=log))
        new.chmod(0o755)
        new.replace(script)
        monkeypatch.setenv("CXX", str(script))
        return log

    return named


def runs(log):
    return len(log.read_text().splitlines()) if log.exists() else 0


UNITS = len(build.KERNEL_UNITS) + len(build.OP_UNITS) + 1  # and the link


def test_a_second_build_finds_the_first(cache, compiler):
    log = compiler()
    library_file = build.build()
    assert library_file.parent == cache and library_file.read_text() == "object\n"
    assert build.build() == library_file and runs(log) == UNITS
    assert sorted(file.name for file in cache.iterdir()) == sorted([library_file.name, "lock"])


def test_no_compiler_falls_back_with_one_warning(cache, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.warns(RuntimeWarning, match="falls back to masked dense compute: no C\\+\\+ compiler found") as caught:
        assert not library.available()
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not library.available()
    assert "no C++ compiler" in library.reason()
    with pytest.raises(RuntimeError, match=r"not available: no C.. compiler found.*Compute with masks"):
        library.library()


def test_an_environment_without_a_home(monkeypatch):
    for name in ("TF_PAI_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def no_home(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(pathlib.Path, "expanduser", no_home)
    assert build.cache_folder().parts[-2:] == (f"tf_pai-{os.getuid()}", "kernels")


def test_a_compiler_that_is_named_badly(monkeypatch):
    monkeypatch.setenv("CXX", "g++ 'never closed")
    assert build.find_compiler() is None


def test_a_compiler_that_says_what_is_no_text(cache, compiler):
    compiler("printf 'error: \\377'; exit 3")
    with pytest.warns(RuntimeWarning, match=r"failed \(3\): error: \ufffd"):
        assert not library.available()


def test_no_compiler_but_a_library_that_was_built_before(cache, compiler, monkeypatch):
    compiler()
    library_file = build.build()
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX")
    assert build.build() == library_file


def test_a_failing_compiler_falls_back_and_says_why(cache, compiler):
    compiler("echo 'error: no such header'; exit 3")
    with pytest.warns(RuntimeWarning, match=r"failed \(3\): error: no such header"):
        assert not library.available()
    assert not list(cache.glob("*.so")) and not list(cache.glob("build-*"))


def test_a_library_that_does_not_load_falls_back(cache, compiler):
    compiler()
    with pytest.warns(RuntimeWarning, match="falls back to masked dense compute"):
        assert not library.available()


def test_a_cache_that_cannot_be_written(tmp_path, compiler, monkeypatch):
    """A file stands where the folder should be: root may write anywhere else."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TF_PAI_CACHE", str(tmp_path / "file" / "cache"))
    compiler()
    library_file = build.build()
    assert library_file.exists() and tmp_path not in library_file.parents
    assert "tf_pai-kernels-" in library_file.parent.name


def test_a_read_only_cache_that_has_the_library(cache, compiler, monkeypatch):
    log = compiler()
    library_file = build.build()
    before = runs(log)
    monkeypatch.setattr(build, "_locked", lambda file: pytest.fail("the cache must only be read"))
    assert build.build() == library_file and runs(log) == before


def test_another_tensorflow_version_has_its_own_library(cache, compiler, monkeypatch):
    compiler()
    first = build.build()
    monkeypatch.setattr(build, "tensorflow_version", lambda: "2.99.0")
    second = build.build()
    assert first != second and first.exists() and second.exists()


def test_another_compiler_has_its_own_library(cache, compiler, tmp_path):
    compiler()
    first = build.build()
    script = tmp_path / "compiler"
    script.write_text(script.read_text().replace("fake 1.0", "fake 2.0"))
    assert build.build() != first


def test_two_builds_at_once_compile_once(cache, compiler):
    log, found = compiler(), []
    threads = [threading.Thread(target=lambda: found.append(build.build())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1 and runs(log) == UNITS


def test_two_processes_that_build_at_once_compile_once(cache, compiler, tmp_path):
    """Each says when it has imported what it needs; only then do both go on."""
    log = compiler()
    program = "from tf_pai.kernels import build; print('ready', flush=True); input(); print(build.build())"
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", program], **options) for _ in range(2)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    said = {process.communicate()[0] for process in processes}
    assert len(said) == 1 and said.pop().strip().endswith(".so") and runs(log) == UNITS


def test_a_build_that_was_killed_leaves_nothing_in_use(cache, compiler, tmp_path):
    """The compiler says through a pipe that it runs, and waits on another; then its parent alone is killed."""
    running, never = tmp_path / "running", tmp_path / "never"
    os.mkfifo(running)
    os.mkfifo(never)
    compiler(f"echo started > {running}; read line < {never}")
    program = [sys.executable, "-c", "from tf_pai.kernels import build; build.build()"]
    process = subprocess.Popen(program, stderr=subprocess.DEVNULL, start_new_session=True)
    with open(running) as stream:
        assert "started" in stream.readline()
    process.kill()
    process.wait()
    assert list(cache.glob("build-*")) and not list(cache.glob("*.so"))
    compiler()
    assert build.build().exists() and not list(cache.glob("build-*"))
    os.killpg(process.pid, signal.SIGKILL)  # the orphaned compilers, which are of its session


def test_the_command_line_builds_and_informs(cache, compiler, capsys):
    compiler()
    assert command_line.main(["build"]) == 0
    assert str(cache) in capsys.readouterr().out
    with pytest.warns(RuntimeWarning):
        assert command_line.main(["info"]) == 0
    said = capsys.readouterr().out
    assert "compiler:   fake 1.0" in said and "available:  no:" in said


def test_the_command_line_fails_without_a_compiler(cache, monkeypatch, capsys):
    monkeypatch.setenv("CXX", "/no/such/compiler")
    assert command_line.main(["build"]) == 1
    assert "Failed: no C++ compiler found" in capsys.readouterr().err


@pytest.mark.parametrize("sanitizer", list(build.SANITIZERS))
def test_the_kernels_under_a_sanitizer(sanitizer, capfd):
    """Every kernel of every instruction set on random and on tampered layers, without TensorFlow."""
    if build.find_compiler() is None:
        pytest.skip("no C++ compiler")
    code = command_line.main(["build", f"--sanitize={sanitizer}"])
    said = capfd.readouterr()
    if "ThreadSanitizer: unexpected memory mapping" in said.err:
        pytest.skip("this system's addresses are laid out as ThreadSanitizer does not expect")
    assert code == 0, said.err
    assert said.out.count("all checks passed") == 3


def test_the_sources_are_part_of_the_package():
    names = {file.name for file in pathlib.Path(build.SOURCE).iterdir()}
    for unit in (*build.KERNEL_UNITS, *build.OP_UNITS, "check"):
        assert ("tiles.cc" if unit.startswith("tiles") else f"{unit}.cc") in names

import pathlib

import pytest

from tf_pai.datasets.cache import cache_folder, fingerprint_content, fingerprint_names, publish


def folder_with(path, **files):
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def test_the_environment_names_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_PAI_CACHE", str(tmp_path / "a" / "b"))
    assert cache_folder() == tmp_path / "a" / "b" and cache_folder().is_dir()


def test_without_it_the_cache_is_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("TF_PAI_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache/tf_pai/datasets"


def test_a_finished_folder_gets_its_final_name(tmp_path):
    publish(folder_with(tmp_path / "new", x="1"), tmp_path / "deep" / "final")
    assert (tmp_path / "deep/final/x").read_text() == "1" and not (tmp_path / "new").exists()


def test_the_second_of_two_processes_keeps_what_the_first_made(tmp_path):
    folder_with(tmp_path / "final", x="first")
    publish(folder_with(tmp_path / "new", x="second"), tmp_path / "final")
    assert (tmp_path / "final/x").read_text() == "first"


def test_a_move_that_fails_for_another_reason_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        publish(tmp_path / "missing", tmp_path / "final")


def test_fingerprints_of_folders_depend_on_names_and_sizes(tmp_path):
    prints = [
        fingerprint_names(folder_with(tmp_path / name, **files))
        for name, files in {"a": {"x": "1"}, "b": {"x": "2"}, "c": {"x": "12"}, "d": {"y": "1"}}.items()
    ]
    assert prints[0] == prints[1] and len(set(prints)) == 3


def test_fingerprints_of_files_depend_on_their_bytes(tmp_path):
    folder: pathlib.Path = folder_with(tmp_path / "a", x="1", y="2", z="1")
    prints = [fingerprint_content(folder / name) for name in "xyz"]
    assert prints[0] == prints[2] != prints[1]

"""ExportReport: what an export weighs, how it is encoded, how far its outputs are off, and how fast it runs."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import os
import pathlib
from typing import Any

from tf_pai.files import write_whole
from tf_pai.reporting.wording import size

LISTED = 40  # tensors in the printed table; `tensors` has them all


@dataclasses.dataclass(frozen=True)
class Tensor:
    """How one weight is stored.

    Attributes:
        name: its name in the file.
        shape: its shape in the file.
        density: fraction of its values that are not zero.
        encoding: "dense", "csr along axis 3", "1x4 blocks", "bits", "gaps", ...
        bytes: what it takes.
        bytes_dense: what it would take dense.
        advice: what runs sparse and where, and the smallest change that would make it so; "" where there is none.
    """

    name: str
    shape: tuple[int, ...]
    density: float
    encoding: str
    bytes: int
    bytes_dense: int
    advice: str = ""


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """What is known of an export. All of it was measured on the file that was written.

    Attributes:
        path: the file or folder.
        form: "compressed", "plain", "float32", "float16" or "int8".
        bytes_dense: bytes of the same model exported with every zero.
        bytes_sparse: bytes of the export.
        gzip_dense: bytes of the dense export after gzip.
        gzip_sparse: bytes of the export after gzip.
        tensors: how each weight is stored, the largest first.
        max_difference: largest absolute difference of an output from the Keras model's, on a test batch.
        relative_difference: the same, relative to the largest output.
        agreement: fraction of the test batch whose largest output is the same one.
        latency_dense: median seconds for one example of the dense export.
        latency_sparse: median seconds for one example of the export; runs of the two alternate.
        notes: what holds back its size or speed, in words.
    """

    path: str
    form: str
    bytes_dense: int
    bytes_sparse: int
    gzip_dense: int
    gzip_sparse: int
    tensors: list[Tensor]
    max_difference: float
    relative_difference: float
    agreement: float
    latency_dense: float
    latency_sparse: float
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Bytes of the export as a fraction of those of the dense one."""
        return self.bytes_sparse / self.bytes_dense

    @property
    def speedup(self) -> float:
        """How many times faster than the dense export it runs; below 1, slower."""
        return self.latency_dense / self.latency_sparse

    @property
    def encodings(self) -> dict[str, str]:
        """{tensor name: encoding}."""
        return {tensor.name: tensor.encoding for tensor in self.tensors}

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as dicts, lists, strings and numbers."""
        return {**dataclasses.asdict(self), "ratio": self.ratio, "speedup": self.speedup}

    def to_json(self, file: str | os.PathLike | None = None) -> str:
        """Returns the report as JSON, and writes it to `file` if one is given."""
        text = json.dumps(self.to_dict(), indent=2)
        if file is not None:
            with write_whole(file, "w") as stream:
                stream.write(text)
        return text

    def __str__(self) -> str:
        from rich.console import Console

        stream = io.StringIO()
        console = Console(file=stream, width=80, highlight=False, color_system=None)
        console.print(*self._lines(), self._table(), sep="\n", markup=False)
        for line in self.notes + self._advice():
            console.print(f"- {line}", markup=False)
        return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())

    def _lines(self) -> list[str]:
        gzipped = f"{size(self.gzip_dense)} -> {size(self.gzip_sparse)}"
        return [
            f"{self.path} ({self.form})",
            f"bytes        {size(self.bytes_dense)} -> {size(self.bytes_sparse)} ({self.ratio:.3f}); gzipped {gzipped}",
            f"outputs      differ by at most {self.relative_difference:.2g} of the largest; "
            f"same class: {self.agreement:.1%}",
            f"latency      {1e3 * self.latency_dense:.3g} ms -> {1e3 * self.latency_sparse:.3g} ms "
            f"({self.speedup:.2f} x as fast)",
        ]

    def _advice(self) -> list[str]:
        """Layers that the same is said of, in one line."""
        names: dict[str, list[str]] = {}
        for tensor in self.tensors:
            if tensor.advice:
                names.setdefault(tensor.advice, []).append(tensor.name)
        return [f"{', '.join(found)}: {advice}" for advice, found in names.items()]

    def _table(self) -> Any:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("tensor", overflow="fold", ratio=1)
        table.add_column("kept", justify="right", no_wrap=True)
        table.add_column("encoding", overflow="fold")
        table.add_column("bytes", justify="right", no_wrap=True)
        for t in self.tensors[:LISTED]:
            table.add_row(Text(t.name), f"{t.density:.1%}", t.encoding, f"{size(t.bytes_dense)} -> {size(t.bytes)}")
        rest = self.tensors[LISTED:]
        if rest:
            total = f"{size(sum(t.bytes_dense for t in rest))} -> {size(sum(t.bytes for t in rest))}"
            table.add_row(f"{len(rest)} smaller ones", "", "", total)
        return table


def bytes_of(path: str | os.PathLike) -> tuple[int, int]:
    """Returns the bytes of a file, or of all files in a folder: as they are, and each gzipped."""
    root = pathlib.Path(path)
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
    contents = [file.read_bytes() for file in files]
    return sum(map(len, contents)), sum(len(gzip.compress(content, 6)) for content in contents)

"""Selects subnets of random networks and proves that no weight was trained: methods x networks x k, over seeds.

  python -m experiments.select --dataset=mnist --data_dir=DIR --epochs=5
  python -m experiments.select --methods=hidden,dense --networks=conv_4 --dataset=cifar10 --data_dir=DIR --epochs=2

k is the fraction of the weights that is kept. Each run has a folder of its own: a killed run goes on after its last
complete epoch, a finished one is not run again. Its report says how accurate the first, random mask was, how accurate
the selected one is, what it takes as a ticket, and the SHA-256 of all frozen weights before and after.
"""

from __future__ import annotations

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
import hashlib
import json
import pathlib
from typing import Any, ClassVar

import keras

import tf_pai
from experiments.config import command, digest, launch, setting
from experiments.progress import TrainingProgress
from experiments.settings import Settings, network_names
from experiments.table import mean_and_deviation, show, write
from tf_pai.datasets import Dataset
from tf_pai.files import write_whole
from tf_pai.layers import weights_of
from tf_pai.registry import METHODS
from tf_pai.training import Job

# How each is trained unless --lr is given: a score of edge-popup moves like a weight, a logit by several units.
TRAINING: dict[str, dict[str, Any]] = {
    "hidden": {"lr": 0.1},
    "supsup": {"lr": 0.1},
    "multi_prize": {"lr": 0.1},
    "mpt_1_1": {"lr": 0.1},
    "deconstruct": {"optimizer": "adam", "lr": 0.1, "momentum": 0.0, "batch_size": 64},
    "dense": {"lr": 0.05},
}
OPTIONS: dict[str, dict[str, Any]] = {"mpt_1_1": {"activations": "binary"}}
STATISTICS = ("moving_mean", "moving_variance")  # measured from the data, never trained


@dataclasses.dataclass(frozen=True)
class Select(Settings):
    """What is selected from what."""

    unread: ClassVar[tuple[str, ...]] = (
        *("method", "sparsity", "network", "distribution", "structure", "pruning_schedule", "min_keep", "compute"),
        *("options", "score_per_class", "train_dense", "deterministic"),
    )

    methods: tuple[str, ...] = setting(
        ("hidden", "deconstruct", "multi_prize", "mpt_1_1"),
        "How; dense trains the weights, at k = 1; mpt_1_1 is multi_prize with binary activations.",
        lambda: list(TRAINING),
    )
    networks: tuple[str, ...] = setting(("lenet_300_100",), "From what.", network_names)
    ks: tuple[float, ...] = setting((0.5, 0.1), "Fractions of the weights to keep.")
    weights: str = setting("signed_constant", "What the weights are frozen at.")
    seeds: int = setting(3, "Number of seeds, from --seed on.", names_run=False)
    lr: float = setting(
        0.0, "Learning rate at the first step; default: the method's own, of deconstruct with Adam and batches of 64."
    )

    def cells(self) -> list[Select]:
        """Returns the settings of every run, seed by seed."""
        if self.seeds < 1 or not all(0 < k <= 1 for k in self.ks):
            raise ValueError(f"k is in (0, 1], and a run has a seed. Received: ks={self.ks}, seeds={self.seeds}.")
        pairs = [(m, k) for m in self.methods for k in ((1.0,) if m == "dense" else self.ks)]
        return [
            dataclasses.replace(self, methods=(m,), networks=(n,), network=n, ks=(k,), seed=seed, **self._training(m))
            for seed in range(self.seed, self.seed + self.seeds)
            for n in self.networks
            for m, k in pairs
        ]

    def _training(self, method: str) -> dict[str, Any]:
        return {} if self.lr else TRAINING[method]

    @property
    def folder(self) -> pathlib.Path:
        """The folder of a single run."""
        name = "-".join(["select", self.network, self.dataset, self.methods[0], f"{self.ks[0]:g}", digest(self)])
        return pathlib.Path(self.runs) / name


def main(config: Select) -> None:
    """Makes the runs that are missing, and prints and stores the table."""
    rows = []
    cells = config.cells()
    for number, cell in enumerate(cells, start=1):
        print(f"[{number}/{len(cells)}] {cell.folder.name} seed {cell.seed}", flush=True)
        rows.append(execute(cell))
        write(pathlib.Path(config.runs) / f"select-{digest(config)}", rows)
    for network in config.networks:
        of_it = [row for row in rows if row["network"] == network]
        keys = dict.fromkeys((row["method"], row["k"]) for row in of_it)
        groups = {key: [row for row in of_it if (row["method"], row["k"]) == key] for key in keys}
        show(f"{network}: test accuracy in %, {config.seeds} seeds", HEAD, [_row(*pair) for pair in groups.items()])


HEAD = ("method", "k", "random mask", "selected", "untouched", "ticket bytes")


def _row(key: tuple[str, float], rows: list[dict[str, Any]]) -> list[str]:
    method, k = key
    first, last = ([row[name] for row in rows] for name in ("first_accuracy", "accuracy"))
    if method == "dense":
        return [method, f"{k:g}", "", mean_and_deviation(last), "trained", ""]
    untouched = "yes" if all(row["untouched"] for row in rows) else "NO"
    size = f"{max(row['ticket_bytes'] for row in rows):,}"
    return [method, f"{k:g}", mean_and_deviation(first), mean_and_deviation(last), untouched, size]


def execute(cell: Select) -> dict[str, Any]:
    """Makes a run, or what is left of one that was killed, and returns its figures; a finished one is only read."""
    done = cell.folder / "metrics.json"
    if done.exists():
        return json.loads(done.read_text())
    keras.utils.clear_session()
    data = cell.load_data()
    job = Job(cell.model_maker(data), cell.methods[0], 1 - cell.ks[0], data.train, cell.epochs, cell.seed, data.test())
    model = make(cell, job)
    cell.folder.mkdir(parents=True, exist_ok=True)
    first = accuracy(model, data)
    before = frozen_digest(model)
    progress = TrainingProgress(cell.methods[0])
    try:
        dataclasses.replace(job, folder=cell.folder, callbacks=lambda stage: [progress], verbose=0).fit(model)
    finally:
        progress.close()
    return report(cell, model, data, {"first_accuracy": first, "before": before})


def make(cell: Select, job: Job) -> keras.Model:
    """Returns the compiled network whose scores, or for dense whose weights, are trained."""
    method = cell.methods[0]
    if method == "dense":
        return job.model()
    decay = None if method == "deconstruct" else keras.regularizers.L2(cell.weight_decay / 2)
    rule = METHODS.find("multi_prize" if method == "mpt_1_1" else method).make(
        **OPTIONS.get(method, {}), regularizer=decay
    )
    options = {key: getattr(cell, key) for key in ("distribution", "structure") if getattr(cell, key)}
    return tf_pai.select_subnet(job.model(), rule, 1 - cell.ks[0], weights=cell.weights, seed=cell.seed, **options)


def frozen_digest(model: keras.Model) -> str:
    """Returns the SHA-256 of all weights, in model order; not of scores and masks, nor of moving statistics."""
    values = [v.numpy().tobytes() for path, v in weights_of(model).items() if not path.endswith(STATISTICS)]
    return hashlib.sha256(b"".join(values)).hexdigest()


def accuracy(model: keras.Model, data: Dataset) -> float:
    """Returns the accuracy on the test set."""
    return float(model.evaluate(data.test(), verbose=0, return_dict=True)["accuracy"])


def report(cell: Select, model: keras.Model, data: Dataset, figures: dict[str, Any]) -> dict[str, Any]:
    """Writes report, model and ticket of a run, and returns its figures."""
    after = frozen_digest(model)
    row = {"network": cell.network, "method": cell.methods[0], "k": cell.ks[0], "seed": cell.seed, **figures}
    row |= {"accuracy": accuracy(model, data), "after": after, "untouched": after == figures["before"]}
    if tf_pai.get_masks(model):
        row |= {"sparsity": tf_pai.sparsity(model)}
        row["ticket_bytes"] = tf_pai.save_ticket(model, cell.folder / "ticket.npz").file
    proof = [
        {"weights": name, "sha256": figures["before"] if name == "before" else after} for name in ("before", "after")
    ]
    numbers = {name: value for name, value in row.items() if isinstance(value, float)}
    made = dataclasses.replace(
        tf_pai.report(model),
        metrics=numbers,
        sections={"frozen weights": proof},
        command=command(cell, "experiments.select"),
    )
    made.to_json(cell.folder / "report.json")
    made.to_html(cell.folder / "report.html")
    with write_whole(cell.folder / "report.txt", "w") as stream:
        stream.write(f"{made}\n")
    with write_whole(cell.folder / "metrics.json", "w") as stream:
        json.dump(row, stream, indent=2)
    return row


if __name__ == "__main__":
    launch(Select, main)

"""What happened to the masks: density per weight, exploration and churn, for logs, TensorBoard and reports."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tf_pai.callbacks.updater import BORN, EXPLORED, KEPT
from tf_pai.reporting.scalars import write_scalar


def _churn(rows: np.ndarray) -> float:
    return int(rows[:, BORN].sum()) / max(int(rows[:, KEPT].sum()), 1)


@dataclasses.dataclass(frozen=True)
class MaskUpdate:
    """One update of all masks.

    Attributes:
        step: after which step.
        density: {path: fraction of the weight's places alive}.
        total_density: the same over all weights.
        exploration: fraction of all places that have ever been alive (ITOP's R_s); of a model that was saved and
            loaded, since then, where the callback's state was not carried over (`get_state`, `set_state`).
        churn: fraction of the places alive that came to life in this update.
    """

    step: int
    density: dict[str, float]
    total_density: float
    exploration: float
    churn: float


class MaskHistory:
    """The updates so far.

    Args:
        sizes: {path: number of places}.
        kept: number of places alive at the start, in the same order.
        log_dir: folder for TensorBoard, or None.

    Attributes:
        start: {path: density} before the first.
        updates: one `MaskUpdate` each.
    """

    def __init__(self, sizes: dict[str, int], kept: list[int], log_dir: str | None = None):
        self.sizes = sizes
        self.start = {path: n / size for (path, size), n in zip(sizes.items(), kept, strict=True)}
        self.updates: list[MaskUpdate] = []
        self._latest = np.array([[n, 0, n] for n in kept]).reshape(-1, 3)
        self._churns: list[float] = []
        self._seen: list[tuple[int, Any]] = []  # since the last record
        self._writer: Any = None if log_dir is None else tf.summary.create_file_writer(str(log_dir))

    def see(self, step: int, rows: Any) -> None:
        """Takes what `Updater` returned after a step, without looking at it yet: a look would wait for the device."""
        self._latest = rows
        self._seen.append((step, rows))

    def record(self) -> None:
        """Records the latest of the updates seen since the last record, if there is one."""
        if not self._seen:
            return
        self._churns += [_churn(np.asarray(rows)) for _, rows in self._seen]
        update = self._now(self._seen[-1][0])
        self.updates.append(update)
        self._seen = []
        if self._writer is not None:
            self._write(update)

    def _now(self, step: int) -> MaskUpdate:
        rows, sizes = np.asarray(self._latest), np.array(list(self.sizes.values()))
        kept, total = rows[:, KEPT], int(sizes.sum())
        return MaskUpdate(
            step=step,
            density=dict(zip(self.sizes, (kept / sizes).tolist(), strict=True)),
            total_density=int(kept.sum()) / total,
            exploration=int(rows[:, EXPLORED].sum()) / total,
            churn=_churn(rows),
        )

    def _write(self, update: MaskUpdate) -> None:
        with self._writer.as_default(step=update.step):
            for path, density in update.density.items():
                write_scalar(f"density/{path}", density)
            for name in ("total_density", "exploration", "churn"):
                write_scalar(f"masks/{name}", getattr(update, name))
        self._writer.flush()

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns the densities at the start, and a row per update: step, total, exploration, churn, densities."""
        rows = [[u.step, u.total_density, u.exploration, u.churn, *u.density.values()] for u in self.updates]
        table = np.array(rows, float).reshape(len(rows), 4 + len(self.sizes))
        return {"history/start": np.array(list(self.start.values())), "history/updates": table}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Takes what `get_state` returned, if there is that of as many weights in `state`."""
        start, table = state.get("history/start"), state.get("history/updates")
        if start is None or table is None or len(start) != len(self.sizes):
            return
        self.start = dict(zip(self.sizes, start.tolist(), strict=True))
        self.updates = [
            MaskUpdate(int(step), dict(zip(self.sizes, density, strict=True)), *figures)
            for step, *figures, density in ((*row[:4], row[4:]) for row in table.tolist())
        ]

    def epoch_logs(self) -> dict[str, float]:
        """Returns {"density", "exploration", "churn"}, churn as the mean over all updates recorded since last time."""
        now, churn = self._now(0), float(np.mean(self._churns)) if self._churns else 0.0
        self._churns = []
        return {"density": now.total_density, "exploration": now.exploration, "churn": churn}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Returns {title: rows}, a row being {column: value}."""
        figures = ("step", "total_density", "exploration", "churn")
        rows = [{name.removeprefix("total_"): getattr(u, name) for name in figures} for u in self.updates]
        densities = [(0, self.start), *((u.step, u.density) for u in self.updates)]
        return {
            "Mask updates": rows,
            "Density of each weight": [{"step": step, **density} for step, density in densities],
        }

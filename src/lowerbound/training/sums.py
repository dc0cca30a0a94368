"""The training metrics of the epoch under way, as sums over its examples."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..distributed.processes import Processes
from ..model import Terms
from ..objectives import Objective


class EpochSums:
    """The sums of the training metrics over the examples of one epoch, of this process.

    A step adds a vector that stays on the device. `read_pending` reads these vectors, which waits
    for the device; it is therefore not called in every step.

    Attributes:
        columns: names of the metrics. The first is the objective, the last counts the examples.
        totals: the sums over the steps that were read, (columns,) float64.
        pending: the vectors of the steps that were not read yet, (columns,) each.
    """

    def __init__(self, levels: int) -> None:
        self.columns: list[str] = ["objective", "elbo", "log_likelihood_term"]
        self.columns += [f"rate_{level}" for level in range(1, levels + 1)]
        self.columns.append("examples")
        self.totals: Tensor = torch.zeros(len(self.columns), dtype=torch.float64)
        self.pending: list[Tensor] = []

    def add(self, loss: Tensor, terms: Terms, objective: Objective, examples: int) -> None:
        """Adds the loss and the terms of one step, means over so many examples."""
        metrics = step_metrics(loss, terms, objective)
        self.pending.append(metrics * examples)

    def read_pending(self) -> Tensor:
        """Returns the vectors of the pending steps on the CPU, (steps, columns)."""
        if not self.pending:
            return torch.zeros(0, len(self.columns))
        return torch.stack(self.pending).cpu()

    def close_pending(self, values: Tensor) -> None:
        """Adds the values of the pending steps to the sums. They are pending no longer."""
        self.totals = self.totals + values.sum(0)
        self.pending.clear()

    def progress_text(self, objective: Objective) -> str:
        """Says what the bound is in this epoch so far, over the examples of this process."""
        name = "bound"
        column = "elbo"
        if not objective.has_bound:
            name = "log-likelihood term"
            column = "log_likelihood_term"
        sums = dict(zip(self.columns, self.totals.tolist(), strict=True))
        mean = sums[column] / max(sums["examples"], 1)
        return f"{name} {mean:.2f}"

    def means(self, processes: Processes) -> dict[str, float]:
        """Returns the mean of each metric over the examples of all processes.

        It has none where each step was left out.
        """
        totals = processes.gather(self.totals).sum(0)
        if totals[-1] == 0:
            return {}
        means = (totals / totals[-1]).tolist()
        by_column = dict(zip(self.columns, means, strict=True))
        by_column.pop("examples")
        return by_column

    def reset(self) -> None:
        """Starts the sums of a new epoch."""
        self.totals = torch.zeros_like(self.totals)

    def to_tensors(self, pending: Tensor, processes: Processes) -> dict[str, Tensor]:
        """Returns the group "sums" of a checkpoint, which holds those of every process."""
        sums = processes.gather(self.totals)
        return {"sums": sums, "pending": processes.gather(pending)}

    def load(
        self, tensors: Mapping[str, Tensor], processes: Processes, device: torch.device
    ) -> None:
        """Takes this process's sums from the group "sums" of a checkpoint.

        Where another number of processes wrote them, the first process takes all.

        Raises:
            ValueError: they are not those of a fit of this model.
        """
        sums = tensors["sums"]
        pending = tensors["pending"]
        fits = sums.shape[1:] == self.totals.shape
        if fits:
            fits = pending.shape == (len(sums), pending.shape[1], len(self.totals))
        if not fits:
            raise ValueError("its sums are not those of a fit of this model")
        if len(sums) != processes.world:
            sums = sums.sum(0, keepdim=True)
            pending = pending.sum(0, keepdim=True)
        own_sums = _row_or_zeros(sums, processes.rank)
        own_pending = _row_or_zeros(pending, processes.rank)
        self.totals = own_sums.double()
        self.pending = list(own_pending.to(device))


def step_metrics(loss: Tensor, terms: Terms, objective: Objective) -> Tensor:
    """Returns the metrics of one step, means over its examples, in the order of the columns.

    The last number is 1. Multiplied by the number of examples, the vector can be summed.
    """
    log_likelihood = terms.log_likelihood.detach().mean()
    rate = terms.rate.detach().mean((0, 1))
    # "everywhere" uses the closed form at levels that it does not fit. There only the log weights
    # give the bound.
    if objective.kl == "everywhere":
        elbo = terms.log_weight.detach().mean()
    else:
        elbo = log_likelihood - rate.sum()
    scalars = torch.stack([loss.detach(), elbo, log_likelihood])
    return torch.cat([scalars, rate, rate.new_ones(1)])


def _row_or_zeros(table: Tensor, row: int) -> Tensor:
    if row < len(table):
        return table[row]
    return torch.zeros_like(table[0])

"""The k best of each row of scores, exactly, on any device."""

from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import ConfigError, DataError

BLOCK_SCORES, SORTED_ROWS = 64, 512
"""Neighbouring scores that `top_k` first reduces to their maximum, and rows that it takes at a
time.
"""


PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)


class TopK(NamedTuple):
    """The best of each row, the best first; of equal ones the lower index first. Both (B, k)."""

    values: Tensor
    indices: Tensor


def _by_key(scores: Tensor, k: int) -> TopK:
    """Exact for any scores: one int64 for each, ordered as (score, -index), so that no two are
    equal.
    """
    bits = (scores.float() + 0.0).view(torch.int32)  # + 0.0: minus zero equals zero
    ordered = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long()
    index = (ordered * 2**32 - torch.arange(scores.shape[1], device=scores.device)).topk(k).indices
    return TopK(scores.gather(1, index), index)


def _entries(blocks: Tensor, least: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row, column and value of the entries of the chosen blocks that reach `least` (B, 1), by row,
    then column.
    """
    row, block = chosen.nonzero(as_tuple=True)
    values = blocks[row, block]
    eights = (
        (values >= least[row]).view(torch.int64).view(-1)
    )  # booleans, eight at a time: most are all false
    some = eights.nonzero().squeeze(1)
    word, bit = eights[some, None].view(torch.bool).nonzero(as_tuple=True)
    place = some[word] * 8 + bit
    pair = place // BLOCK_SCORES
    return row[pair], block[pair] * BLOCK_SCORES + place % BLOCK_SCORES, values.view(-1)[place]


def _padded(row: Tensor, column: Tensor, value: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Entries sorted by row as (rows, most entries of a row): values, minus infinity where there is
    none, and columns.
    """
    counts = torch.bincount(row, minlength=rows)
    slot = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    values = value.new_full((rows, int(counts.max())), -torch.inf)
    columns = row.new_zeros(values.shape)
    values[row, slot], columns[row, slot] = value, column
    return values, columns


def _by_blocks(scores: Tensor, k: int) -> TopK:
    """Exact, for rows that are long beside k.

    The k-th largest of the maxima of blocks is reached by k entries at least, so that no entry
    below it is among the k best. All that reach it, and the few columns that fill no block, go to a
    stable sort in the order of their columns. Rows where the k-th maximum is tied with many are
    done by key.
    """
    rows, width = scores.shape
    blocks = scores[:, : width // BLOCK_SCORES * BLOCK_SCORES].unflatten(1, (-1, BLOCK_SCORES))
    maxima, rest = (
        blocks.amax(-1),
        torch.arange(width // BLOCK_SCORES * BLOCK_SCORES, width, device=scores.device),
    )
    _refuse_nan(scores, maxima, scores[:, rest])
    least = maxima.topk(k, sorted=False).values.amin(-1, keepdim=True)
    chosen = maxima >= least
    crowded = chosen.sum(-1) > 2 * k
    values, columns = _padded(*_entries(blocks, least, chosen & ~crowded[:, None]), rows)
    values, columns = (
        torch.cat([values, scores[:, rest]], 1),
        torch.cat([columns, rest.expand(rows, -1)], 1),
    )
    if values.shape[1] < k:  # every row is crowded
        return _by_key(scores, k)
    best = values.sort(dim=1, descending=True, stable=True)
    found = TopK(best.values[:, :k].contiguous(), columns.gather(1, best.indices[:, :k]))
    if crowded.any():
        found.values[crowded], found.indices[crowded] = _by_key(scores[crowded], k)
    return found


def _refuse_nan(scores: Tensor, *where: Tensor) -> None:
    if any(w.isnan().any() for w in where):
        raise DataError(
            f"{int(scores.isnan().sum())} of {scores.numel()} scores of {len(scores)} rows are NaN"
        )


def _top_k_of_part(scores: Tensor, k: int) -> TopK:
    if scores.shape[1] // BLOCK_SCORES > 2 * k:
        return _by_blocks(scores, k)
    _refuse_nan(scores, scores)
    return _by_key(scores, k)


def top_k(scores: Tensor, k: int) -> TopK:
    """The k best of each row of `scores` (B, I): exactly the first k of a stable descending sort,
    on any device.

    Raises:
        ConfigError: k is not from 1 to I.
        DataError: a score is NaN, or the scores are in another precision than float32, bfloat16 or
            float16.
    """
    if not 1 <= k <= scores.shape[1]:
        raise ConfigError(
            f"k must be from 1 to the {scores.shape[1]} items of the catalogue, got {k}"
        )
    if scores.dtype not in PRECISIONS:
        raise DataError(
            "scores must be float32, bfloat16 or float16, got "
            f"{str(scores.dtype).removeprefix('torch.')}"
        )
    if len(scores) == 0:
        return TopK(scores[:, :k], torch.empty(0, k, dtype=torch.int64, device=scores.device))
    parts = [_top_k_of_part(part, k) for part in scores.split(SORTED_ROWS)]
    return TopK(*(torch.cat(list(p)) for p in zip(*parts, strict=True)))

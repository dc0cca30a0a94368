"""The k best of each row of scores, exactly, on any device."""

from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import ConfigError, DataError

BLOCK_SCORES = 64
"""`top_k` first reduces this many neighbouring scores to their maximum."""


SORTED_ROWS = 512
"""`top_k` takes this many rows at a time."""


PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)
"""The types of scores that can be ordered exactly by their bits as float32."""


class TopK(NamedTuple):
    """The best of each row, the best first; of equal ones the lower index first. Both (B, k)."""

    values: Tensor
    indices: Tensor


def _by_key(scores: Tensor, k: int) -> TopK:
    """Finds the k best of any scores, exactly.

    Each score becomes one int64, ordered as (score, -index), so that no two are equal.
    """
    bits = (scores.float() + 0.0).view(torch.int32)  # + 0.0: minus zero equals zero
    ordered = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long()
    columns = torch.arange(scores.shape[1], device=scores.device)
    keys = ordered * 2**32 - columns
    indices = keys.topk(k).indices
    return TopK(scores.gather(1, indices), indices)


def _entries(blocks: Tensor, least: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Finds the entries of the chosen blocks that reach `least`, by row, then column.

    Args:
        blocks: the scores (B, blocks, BLOCK_SCORES).
        least: the score to reach, (B, 1).
        chosen: which blocks to look at, (B, blocks).

    Returns:
        The row, the column and the value of each entry.
    """
    row, block = chosen.nonzero(as_tuple=True)
    values = blocks[row, block]
    is_high = values >= least[row]
    # Eight booleans are one int64: most words are 0, and only the others are looked into.
    words = is_high.view(torch.int64).view(-1)
    high_words = words.nonzero().squeeze(1)
    bits = words[high_words, None].view(torch.bool)
    word, bit = bits.nonzero(as_tuple=True)
    position = high_words[word] * 8 + bit
    pair = position // BLOCK_SCORES
    column = block[pair] * BLOCK_SCORES + position % BLOCK_SCORES
    return row[pair], column, values.view(-1)[position]


def _pad_rows(row: Tensor, column: Tensor, value: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Arranges entries, sorted by row, in a matrix (rows, most entries of a row).

    Returns:
        The values, minus infinity where a row has fewer entries, and the columns.
    """
    counts = torch.bincount(row, minlength=rows)
    starts = counts.cumsum(0) - counts
    entries = torch.arange(len(row), device=row.device)
    slot = entries - starts[row]
    width = int(counts.max())
    values = value.new_full((rows, width), -torch.inf)
    columns = row.new_zeros(values.shape)
    values[row, slot] = value
    columns[row, slot] = column
    return values, columns


def _by_blocks(scores: Tensor, k: int) -> TopK:
    """Finds the k best of rows that are long beside k, exactly.

    The k-th largest of the maxima of blocks is reached by k entries at least, so that no entry
    below it is among the k best. All that reach it, and the few columns that fill no block, go to a
    stable sort in the order of their columns. Rows where the k-th maximum is tied with many are
    done by key.
    """
    rows, width = scores.shape
    blocked = width // BLOCK_SCORES * BLOCK_SCORES
    blocks = scores[:, :blocked].unflatten(1, (-1, BLOCK_SCORES))
    maxima = blocks.amax(-1)
    last_columns = torch.arange(blocked, width, device=scores.device)
    last_scores = scores[:, last_columns]
    _refuse_nan(scores, maxima, last_scores)
    least = maxima.topk(k, sorted=False).values.amin(-1, keepdim=True)
    chosen = maxima >= least
    is_tied = chosen.sum(-1) > 2 * k
    untied = chosen & ~is_tied[:, None]
    row, column, value = _entries(blocks, least, untied)
    values, columns = _pad_rows(row, column, value, rows)
    values = torch.cat([values, last_scores], 1)
    columns = torch.cat([columns, last_columns.expand(rows, -1)], 1)
    if values.shape[1] < k:  # every row is tied
        return _by_key(scores, k)
    ordered = values.sort(dim=1, descending=True, stable=True)
    best_values = ordered.values[:, :k].contiguous()
    best_columns = columns.gather(1, ordered.indices[:, :k])
    if is_tied.any():
        by_key = _by_key(scores[is_tied], k)
        best_values[is_tied] = by_key.values
        best_columns[is_tied] = by_key.indices
    return TopK(best_values, best_columns)


def _refuse_nan(scores: Tensor, *parts: Tensor) -> None:
    """DataError if one of `parts`, which stand for all scores, holds a NaN."""
    if any(part.isnan().any() for part in parts):
        raise DataError(
            f"{int(scores.isnan().sum())} of {scores.numel()} scores of {len(scores)} rows are NaN"
        )


def top_k(scores: Tensor, k: int) -> TopK:
    """Finds the k best of each row of `scores` (B, I).

    They are exactly the first k of a stable descending sort, on any device.

    Raises:
        ConfigError: k is not from 1 to I.
        DataError: a score is NaN, or the scores are in another precision than float32, bfloat16 or
            float16.
    """
    width = scores.shape[1]
    if not 1 <= k <= width:
        raise ConfigError(f"k must be from 1 to the {width} items of the catalogue, got {k}")
    if scores.dtype not in PRECISIONS:
        dtype = str(scores.dtype).removeprefix("torch.")
        raise DataError(f"scores must be float32, bfloat16 or float16, got {dtype}")
    if len(scores) == 0:
        indices = torch.empty(0, k, dtype=torch.int64, device=scores.device)
        return TopK(scores[:, :k], indices)
    is_long = width // BLOCK_SCORES > 2 * k
    best_values = []
    best_indices = []
    for part in scores.split(SORTED_ROWS):
        if is_long:
            best = _by_blocks(part, k)
        else:
            _refuse_nan(part, part)
            best = _by_key(part, k)
        best_values.append(best.values)
        best_indices.append(best.indices)
    return TopK(torch.cat(best_values), torch.cat(best_indices))

"""Recommending from a fitted run: the best items for a history, for many of them, and the items
most like one.

A user gets the same items with the same scores, bit for bit, alone or among any others, whatever
the number of threads. Floating point does not give that by itself: a matrix product adds up in
another order for another number of rows. So everything that is added up here lies on a grid that is
coarse enough for float64 to hold every sum exactly, and sums without rounding have no order.

Scores are those of `VAE.rank`, up to the rounding of float32. They are found in two steps: a
product in bfloat16 gives an upper bound for every item, and what could be among the best by that is
scored exactly. Where the bounds do not prove that nothing better was left out, more is scored, in
the end everything.
"""

import copy
import difflib
import heapq
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .data import History, Items
from .errors import ConfigError, DataError, one_line
from .evaluation.ranking import top_k
from .model import VAE
from .run import Run, load
from .sparse import DeferredLinear, SparseLinear, SparseRows, Transposed, Uncomputed, sparse_matmul

if TYPE_CHECKING:
    from polars import DataFrame
    from scipy.sparse import csr_matrix

TILE, SCORES = 512, 2**25
"""Users whose bounds are computed at a time, and how many bounds these may be."""

FEW = 16
"""Users up to whom the table of items is the left side of the product, which is then faster by
half.
"""

GATHERED = 2**19
"""Numbers of the items' vectors that are scored exactly at a time."""

SERIAL, LANES = 2**15, 64
"""Numbers up to which PyTorch goes over an array in one thread, and more than it takes of them at
once.
"""

ROUNDING = 2.0**-8
"""The largest relative error of rounding to bfloat16."""


# Sums without rounding


def _on_grid(values: Tensor, terms: int) -> Tensor:
    """Float64 rows (N, K), rounded to a grid of their own, so that the inner products of two such
    rows of `terms` are exact.

    Each value is a multiple of the row's step and at most 2^bits of them: a sum of products is a
    multiple of the product of the steps and at most terms * 2^(2 bits) <= 2^53 of them, as is every
    partial sum. With 600 terms, bits is 21.
    """
    bits = (53 - math.ceil(math.log2(max(terms, 2)))) // 2
    most = values.abs().amax(1, keepdim=True).clamp(min=2.0**-300)
    step = (
        most / torch.frexp(most).mantissa * 2.0**-bits
    )  # a power of two: the next above `most`, parted
    return (values / step).round_().mul_(step)


class _Exact(nn.Module):
    """A linear layer in float64 whose sums are exact."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = _on_grid(weight.detach().double(), weight.shape[1])
        self.bias = 0.0 if bias is None else bias.detach().double()

    def forward(self, x: Tensor) -> Tensor:
        return _on_grid(x, x.shape[1]) @ self.weight.T + self.bias


class _First(nn.Module):
    """A first layer on sparse rows. It sums up each user by itself, in the precision of its table,
    of which it makes no copy.
    """

    def __init__(self, layer: SparseLinear) -> None:
        super().__init__()
        self.table, self.bias = layer.weight.detach(), layer.bias.detach().double()

    def forward(self, x: SparseRows) -> Tensor:
        return sparse_matmul(x, self.table).double() + self.bias


def _exactly(module: nn.Module) -> None:
    """Puts exact layers in place of the linear ones below, and float64 in place of other
    parameters; the last layer stays.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.Linear | Transposed):
            setattr(module, name, _Exact(child.weight, child.bias))
        elif isinstance(child, SparseLinear):
            setattr(module, name, _First(child))
        elif not isinstance(child, Uncomputed):
            _exactly(child)
    for own in (module._parameters, module._buffers):
        own |= {
            k: v.detach().double() if v.is_floating_point() else v
            for k, v in own.items()
            if v is not None
        }


def last_layer(model: VAE) -> DeferredLinear:
    """The last layer of a recommender's decoder, for z = 0: its weight is (I, d), one vector for
    each item.

    Raises:
        ConfigError: the model is not one of interactions.
    """
    natural = getattr(
        model.decode(next(model.parameters()).new_zeros(1, _sizes(model)[0])), "natural", None
    )
    if not isinstance(natural, DeferredLinear):
        raise ConfigError(
            "only a run on interactions recommends; this one was fitted to dense examples"
        )
    return natural


def item_vectors(model: VAE) -> np.ndarray:
    """The vectors of the items, rows of the weight of the decoder's last layer, (I, d) float32."""
    with torch.no_grad():
        return last_layer(model).weight.float().cpu().numpy()


def _sizes(model: VAE) -> tuple[int, ...]:
    return model.latents.sizes


class _Trunk:
    """From histories to the codes z (B, d) and to the input of the last layer h (B, K), float64:
    each row by its history alone.

    A few empty rows follow each block of users. They take the end of every array, which PyTorch
    computes by other instructions.
    """

    def __init__(self, model: VAE) -> None:
        self.model = copy.deepcopy(
            model, {id(p): p for p in (*model.parameters(), *model.buffers())}
        )
        _exactly(self.model.eval())
        widths = [m.weight.shape[0] for m in self.model.modules() if isinstance(m, _Exact)]
        widths += [m.table.shape[1] for m in self.model.modules() if isinstance(m, _First)] + [
            *_sizes(model)
        ]
        self.empty = -(-LANES // min(widths))
        self.rows = max(1, SERIAL // max(widths) - self.empty)

    def __call__(self, x: SparseRows) -> tuple[Tensor, Tensor]:
        """For rows (B, I)."""
        parts = [
            self._block(x, start, min(start + self.rows, len(x)))
            for start in range(0, len(x), self.rows)
        ]
        z, h = (torch.cat(list(part)) for part in zip(*parts, strict=True))
        return z, h

    def _block(self, x: SparseRows, start: int, stop: int) -> tuple[Tensor, Tensor]:
        first, last = int(x.offsets[start]), int(x.offsets[stop])
        offsets = (
            torch.cat([x.offsets[start : stop + 1], x.offsets[stop].expand(self.empty)]) - first
        )
        z = self.model.encode(
            SparseRows(offsets, x.columns[first:last], x.values[first:last].double(), x.width)
        )[0]
        return z[: stop - start], self.model.decode(z).natural.h[: stop - start]  # type: ignore[attr-defined]


# The table of items


def _above(values: Tensor) -> Tensor:
    """In bfloat16, not below what they were."""
    return (values * (1 + 2 * ROUNDING)).bfloat16()


def _parts(values: Tensor) -> Tensor:
    """Float64 (I,) as the sum of three bfloat16 numbers each, (I, 3)."""
    parts = []
    for _ in range(3):
        parts.append(values.bfloat16())
        values = values - parts[-1].double()
    return torch.stack(parts, 1)


class _Table:
    """The last layer: its scores <h, w_i> + b_i, exactly for some items, and as upper bounds for
    all.

    With h~ and w~ for h and w in bfloat16, <h, w> = <h~, w~> + <h, w - w~> + <h - h~, w~>, of which
    the last two are at most |h| |w - w~| + |h - h~| |w~|. Both are inner products too, so that five
    columns beside those of w~ (two for the norms, three for the bias) make one product in bfloat16
    an upper bound. What that rounds by itself, it says in `margin`.
    """

    def __init__(self, layer: DeferredLinear) -> None:
        items, terms = layer.weight.shape
        self.bias = layer.bias.detach().double().cpu()
        self.weight = torch.empty(items, terms)
        self.bounds = torch.zeros(items, -(-(terms + 5) // 32) * 32, dtype=torch.bfloat16)
        for rows in torch.arange(items).split(4096):
            self._fill(slice(int(rows[0]), int(rows[-1]) + 1), layer.weight)
        self.bounds[:, terms + 2 : terms + 5] = _parts(self.bias)
        self.summed = (
            self.bounds.shape[1] * 2.0**-22
        )  # of float32, in sums of so many terms, at most
        self._kept = threading.local()
        self.slack = 2 * self.summed * float(self.bias.abs().max())

    def _fill(self, rows: slice, weight: Tensor) -> None:
        terms = weight.shape[1]
        exact = _on_grid(weight[rows].detach().double().cpu(), terms)
        near = exact.bfloat16()
        self.weight[rows], self.bounds[rows, :terms] = exact, near
        self.bounds[rows, terms] = _above((exact - near).norm(dim=1))
        self.bounds[rows, terms + 1] = _above(near.double().norm(dim=1))

    def upper(self, h: Tensor) -> Tensor:
        """Upper bounds for h (B, K), up to `margin`: (B, I) bfloat16, in memory that the next call
        uses again.
        """
        terms, near = h.shape[1], h.bfloat16()
        left = torch.zeros(max(len(h), FEW), self.bounds.shape[1], dtype=torch.bfloat16)
        left[: len(h), :terms] = near
        left[: len(h), terms] = _above(h.norm(dim=1) * (1 + self.summed))
        left[: len(h), terms + 1] = _above(
            (h - near).norm(dim=1) + 2 * self.summed * near.double().norm(dim=1)
        )
        left[:, terms + 2 : terms + 5] = 1
        if len(h) > FEW:
            return torch.mm(left, self.bounds.T, out=self._space(len(h)))
        return torch.mm(self.bounds, left.T, out=self._space(FEW).view(-1, FEW))[
            :, : len(h)
        ].T.contiguous()

    def _space(self, rows: int) -> Tensor:
        """Memory for bounds (rows, I) that this thread keeps: to have it anew each time would take
        as long as the product.
        """
        width, kept = len(self.bounds), getattr(self._kept, "space", None)
        if kept is None or kept.numel() < rows * width:
            kept = self._kept.space = torch.empty(rows * width, dtype=torch.bfloat16)
        return kept[: rows * width].view(rows, width)

    def margin(self, bounds: Tensor) -> Tensor:
        """Scores (float32) that those of items with such bounds or lower, (B,), cannot exceed."""
        bounds = bounds.double()
        return (bounds + 2 * ROUNDING * bounds.abs() + self.slack).float()

    def exact(self, h: Tensor, items: Tensor) -> Tensor:
        """The scores of some items (B, c) for h (B, K): float32 (B, c)."""
        step = max(1, GATHERED // (items.shape[1] * h.shape[1]))
        scores = torch.empty(items.shape, dtype=torch.float64)
        rows = torch.empty(min(step, len(h)) * items.shape[1], h.shape[1])
        precise = rows.double()
        for start in range(0, len(h), step):
            some = items[start : start + step]
            torch.index_select(self.weight, 0, some.flatten(), out=rows[: some.numel()])
            vectors = precise[: some.numel()].copy_(rows[: some.numel()]).view(*some.shape, -1)
            torch.bmm(
                vectors,
                h[start : start + step].unsqueeze(2),
                out=scores[start : start + step].unsqueeze(2),
            )
        return (scores + self.bias[items]).float()

    def all(self, h: Tensor) -> Tensor:
        """The scores of all items for h (B, K): float32 (B, I)."""
        products = [h @ rows.double().T for rows in self.weight.split(4096)]
        return (torch.cat(products, 1) + self.bias).float()


# The catalogue by name


def _pieces(text: str) -> set[str]:
    return {text[i : i + 3] for i in range(max(1, len(text) - 2))}


def near(name: str, names: Iterable[str], n: int = 3) -> list[str]:
    """The known names nearest to one that is not known, the nearest first; only those that share
    most with it are compared.
    """
    folded = name.casefold()
    pieces = _pieces(folded)
    likely = {
        t.casefold(): t
        for t in heapq.nlargest(50, names, key=lambda t: len(pieces & _pieces(t.casefold())))
    }
    return [likely[t] for t in difflib.get_close_matches(folded, likely, n=n, cutoff=0.5)]


class Catalogue:
    """The items of a run, found by their ids or titles."""

    def __init__(self, items: Items) -> None:
        self.ids, self.titles = items.ids, items.titles

    @cached_property
    def _by_id(self) -> dict[Any, int]:
        return {i: column for column, i in enumerate(self.ids.tolist())}

    @cached_property
    def _by_text(self) -> dict[str, int]:
        return {str(i): column for i, column in self._by_id.items()}

    @cached_property
    def _by_title(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for column, title in enumerate(self.titles or ()):
            found.setdefault(title, []).append(column)
        return found

    @cached_property
    def _by_folded(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for title, columns in self._by_title.items():
            found.setdefault(title.casefold(), []).extend(columns)
        return found

    def column(self, item: Any) -> int:
        """The column of an item, by its id, its id as text, its title, or its title in other case.

        Raises:
            DataError: there is no such item, or there are several.
        """
        item = item.item() if isinstance(item, np.generic) else item
        columns = self._columns(item)
        if not columns:
            raise DataError(self._unknown(str(item)))
        if len(columns) > 1:
            ids = ", ".join(str(self.ids[c]) for c in columns[:5]) + (
                ", ..." if len(columns) > 5 else ""
            )
            raise DataError(f"{len(columns)} items are called {item!r}; take one by its id: {ids}")
        return columns[0]

    def _columns(self, item: Any) -> Sequence[int]:
        if isinstance(item, str | int | float) and item in self._by_id:
            return [self._by_id[item]]
        text = str(item)
        if text in self._by_text:
            return [self._by_text[text]]
        return self._by_title.get(text, self._by_folded.get(text.casefold(), []))

    def _unknown(self, item: str) -> str:
        found = near(item, [*self._by_title, *self._by_text])
        hint = f"; did you mean {', '.join(map(repr, found))}?" if found else ""
        return f"no item {item!r} among the {len(self.ids)} of this run, neither by id nor by title{hint}"

    def columns(self, items: Iterable[Any]) -> np.ndarray:
        """The columns of several items, (n,) int64."""
        return np.array([self.column(i) for i in items], dtype=np.int64)

    def title(self, column: int) -> str | None:
        """What an item is called, or None where the run has no titles."""
        return None if self.titles is None else self.titles[column]


# Histories


@dataclass(frozen=True)
class _Histories:
    users: np.ndarray
    matrix: "csr_matrix"


def _checked(matrix: Any, width: int, binary: bool) -> "csr_matrix":
    """Float32 CSR, columns ascending and none twice.

    Raises:
        DataError: another width than the catalogue's, or a weight that no interaction has.
    """
    from scipy.sparse import csr_matrix

    if matrix.dtype.kind not in "buif":
        raise DataError(f"weights of a history must be real numbers, got {matrix.dtype}")
    if matrix.shape[1] != width:
        raise DataError(
            f"histories must have one column for each of the {width} items, got {matrix.shape[1]}"
        )
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        matrix = csr_matrix(matrix, dtype=np.float32)
        if not matrix.has_canonical_format:
            matrix = matrix.copy()
            matrix.sum_duplicates()
    wrong = ~(np.isfinite(matrix.data) & (matrix.data > 0))
    if wrong.any():
        raise DataError(
            f"weights of a history must be numbers above 0, got {matrix.data[wrong][0]:g}"
        )
    if binary and (matrix.data != 1).any():
        got = matrix.data[matrix.data != 1][0]
        raise DataError(
            f"this run was fitted to interactions that count 1 each, got a weight of {got:g}; "
            "leave weights out"
        )
    return matrix


def _entries(history: Any) -> tuple[list[Any], list[float]]:
    """Items and weights of one history."""
    if isinstance(history, str):
        raise DataError(
            f"a history is a list of items, got the text {history!r}; write [{history!r}]"
        )
    if not isinstance(history, Iterable):
        raise DataError(f"a history is a list of items, got {type(history).__name__}")
    return (
        (list(history), list(history.values()))
        if isinstance(history, Mapping)
        else (list(history), [])
    )


def _side_by_side(act: Callable[[np.ndarray], None], parts: list[np.ndarray]) -> None:
    """`act` on each part, as many at a time as PyTorch has threads, each in one thread: then none
    waits for another.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(parts) == 1:
        for part in parts:
            act(part)
        return
    with ThreadPoolExecutor(
        min(threads, len(parts)), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        try:
            list(pool.map(act, parts))
        finally:
            torch.set_num_threads(threads)  # of what all threads share


# What comes back


class Recommendation(NamedTuple):
    """One item of a list.

    Attributes:
        item: its id.
        title: what it is called; None in a run without titles.
        score: by which it was ranked: the natural parameter of p(x | z), or a cosine; higher is
            better.
    """

    item: Any
    title: str | None
    score: float


@dataclass(frozen=True, eq=False)
class Recommendations:
    """Lists of many users, the best first. Where a user has fewer than k, the rest of the row is -1
    and nan.

    Attributes:
        users: (n,) the users' own ids.
        items: (n, k) int64, columns of the catalogue.
        scores: (n, k) float32.
        catalogue: what the columns stand for.
    """

    users: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    catalogue: Catalogue

    def __len__(self) -> int:
        """n."""
        return len(self.users)

    @property
    def counts(self) -> np.ndarray:
        """How many items each user got, (n,)."""
        return (self.items >= 0).sum(1)

    def to_frame(self) -> "DataFrame":
        """A Polars frame with the columns user, rank (from 1), item, title (where known) and score,
        by user, then rank.
        """
        import polars

        row, rank = np.nonzero(self.items >= 0)
        column = self.items[row, rank]
        titles = (
            {}
            if self.catalogue.titles is None
            else {"title": polars.Series(self.catalogue.titles).gather(column)}
        )
        columns = {
            "user": polars.Series(self.users.tolist()).gather(row),
            "rank": rank + 1,
            "item": polars.Series(self.catalogue.ids.tolist()).gather(column),
        }
        return polars.DataFrame(columns | titles | {"score": self.scores[row, rank]})


class Recommender:
    """A fitted run on interactions, made ready for recommending. It takes about six bytes for each
    weight of the last layer.

    Args:
        run: a run on interactions.

    Attributes:
        run: the run.
        catalogue: its items by name.
        item_vectors: (I, d) float32, rows of the weight of the decoder's last layer.

    Raises:
        ConfigError: the run is not on interactions.
    """

    def __init__(self, run: Run) -> None:
        if run.items is None:
            raise ConfigError(
                "only a run on interactions recommends; this one was fitted to dense examples"
            )
        self.run, self.catalogue = run, Catalogue(run.items)
        with torch.no_grad():
            self._trunk = _Trunk(
                copy.deepcopy(run.model).cpu()
                if next(run.model.parameters()).is_cuda
                else run.model
            )
            self._table = _Table(last_layer(run.model))

    @classmethod
    def load(cls, folder: str | Path) -> "Recommender":
        """From a run folder. RunError if it is none."""
        return cls(load(folder))

    @cached_property
    def item_vectors(self) -> np.ndarray:
        """(I, d) float32."""
        return item_vectors(self.run.model)

    def recommend(
        self,
        history: Iterable[Any] | Mapping[Any, float],
        k: int = 10,
        *,
        exclude_seen: bool = True,
        allow: Iterable[Any] | None = None,
        deny: Iterable[Any] = (),
    ) -> list[Recommendation]:
        """The best items for a user of whom only this history is known, the best first; fewer than
        k where no more are left.

        Args:
            history: items by id or title, or a mapping of them to weights.
            k: how many.
            exclude_seen: nothing of the history.
            allow: nothing but these items.
            deny: none of these items.

        Raises:
            DataError: the history is empty, an item is not known, or nothing is left to recommend.
            ConfigError: k is not from 1 to the number of items that may be recommended.
        """
        histories = self._histories({0: history})
        if histories.matrix.nnz == 0:
            raise DataError("the history is empty: give one item or more")
        found = self._many(histories, k, exclude_seen, allow, deny)
        if not found.counts[0]:
            raise DataError(
                "nothing is left to recommend: the history holds every item that may be recommended"
            )
        return self._listed(found.items[0], found.scores[0])

    def recommend_many(
        self,
        histories: Any,
        k: int = 20,
        *,
        exclude_seen: bool = True,
        allow: Iterable[Any] | None = None,
        deny: Iterable[Any] = (),
    ) -> Recommendations:
        """The best items for each of many users: what `recommend` gives each, to the last bit.

        A user with an empty history gets nothing.

        Args:
            histories: a SciPy matrix (n, I) over the catalogue; a Polars frame with the columns
                user, item and perhaps weight; a mapping of users to histories; or a `History`.
            k: how many for each.
            exclude_seen: nothing of the user's history.
            allow: nothing but these items.
            deny: none of these items.

        Raises:
            DataError: no user has a history, an item is not known, or a weight is not above 0.
            ConfigError: k is not from 1 to the number of items that may be recommended.
        """
        found = self._histories(histories)
        if found.matrix.nnz == 0:
            which = (
                f"all {len(found.users)} histories are empty"
                if len(found.users)
                else "there are no histories"
            )
            raise DataError(f"{which}: there is nothing to recommend by")
        return self._many(found, k, exclude_seen, allow, deny)

    def similar(
        self,
        item: Any,
        k: int = 10,
        *,
        allow: Iterable[Any] | None = None,
        deny: Iterable[Any] = (),
    ) -> list[Recommendation]:
        """The items most like one, by the cosine of the angle between their vectors (see
        `item_vectors`), without itself.
        """
        column, vectors = self.catalogue.column(item), torch.from_numpy(self.item_vectors)
        excluded = np.union1d(self._excluded(allow, deny), [column])
        self._refuse_k(k, len(vectors) - len(excluded))
        norms = vectors.norm(dim=1).clamp(min=torch.finfo(torch.float32).tiny)
        scores = (torch.mv(vectors, vectors[column] / norms[column]) / norms).clamp_(-1, 1)
        scores[torch.from_numpy(excluded)] = -torch.inf
        best = top_k(scores.unsqueeze(0), k)
        return self._listed(best.indices[0].numpy(), best.values[0].numpy())

    def codes(self, histories: Any) -> np.ndarray:
        """The posterior means of z1 of many users, (n, d) float32; `histories` as in
        `recommend_many`. DataError for no user.
        """
        found = self._histories(histories)
        if not len(found.users):
            raise DataError("there are no histories: there is nothing to encode")
        with torch.inference_mode():
            return self._trunk(SparseRows.of(found.matrix))[0].float().numpy()

    def _listed(self, columns: np.ndarray, scores: np.ndarray) -> list[Recommendation]:
        ids, pairs = self.catalogue.ids, zip(columns.tolist(), scores.tolist(), strict=True)
        return [
            Recommendation(ids[c : c + 1].tolist()[0], self.catalogue.title(c), score)
            for c, score in pairs
            if c >= 0
        ]

    # Histories

    def _histories(self, given: Any) -> _Histories:
        """What was given, as users and a matrix."""
        from scipy.sparse import issparse

        if isinstance(given, History):
            return _Histories(given.users, self._checked(given.matrix))
        if issparse(given):
            return _Histories(np.arange(given.shape[0]), self._checked(given))
        if isinstance(given, Mapping):
            return self._of_mapping(given)
        if hasattr(given, "get_column"):
            return self._of_frame(given)
        what = "a SciPy matrix, a Polars frame of user and item, or a mapping of users to items"
        raise DataError(f"histories are {what}; got {type(given).__name__}")

    def _checked(self, matrix: Any) -> "csr_matrix":
        return _checked(matrix, len(self.catalogue.ids), self.run.schema.levels == 2)

    def _of_mapping(self, given: Mapping[Any, Any]) -> _Histories:
        rows, columns, weights = [], [], []
        for row, history in enumerate(given.values()):
            items, own = _entries(history)
            rows += [row] * len(items)
            columns += self.catalogue.columns(items).tolist()
            weights += own or [1.0] * len(items)
        users = np.empty(len(given), dtype=object)
        users[:] = list(given)
        return _Histories(
            users,
            self._matrix(
                np.array(rows, np.int64), np.array(columns, np.int64), weights, len(given)
            ),
        )

    def _of_frame(self, frame: "DataFrame") -> _Histories:
        import polars

        missing = [name for name in ("user", "item") if name not in frame.columns]
        if missing:
            raise DataError(
                "a frame of histories needs the columns user and item, got: "
                f"{', '.join(frame.columns) or 'none'}"
            )
        if frame.select("user", "item").null_count().sum_horizontal().item():
            raise DataError("a frame of histories must have a user and an item in every row")
        users = frame["user"].unique(maintain_order=True)
        known = frame["item"].unique(maintain_order=True)
        columns = polars.Series(self.catalogue.columns(known.to_list()), dtype=polars.Int64)
        row = frame["user"].replace_strict(
            users, polars.int_range(len(users), eager=True), return_dtype=polars.Int64
        )
        column = frame["item"].replace_strict(known, columns, return_dtype=polars.Int64)
        weights = frame["weight"].to_numpy() if "weight" in frame.columns else np.ones(len(frame))
        return _Histories(
            users.to_numpy(), self._matrix(row.to_numpy(), column.to_numpy(), weights, len(users))
        )

    def _matrix(
        self, rows: np.ndarray, columns: np.ndarray, weights: Any, users: int
    ) -> "csr_matrix":
        """Of interactions; where each counts 1, repeating one changes nothing."""
        from scipy.sparse import csr_matrix

        try:
            weights = np.asarray(weights, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"weights of a history must be real numbers: {one_line(error, 160)}"
            ) from None
        if self.run.schema.levels == 2 and (weights == 1).all():
            rows, columns = np.unique(np.stack([rows, columns]), axis=1)
            weights = np.ones(len(rows))
        return self._checked(
            csr_matrix((weights, (rows, columns)), shape=(users, len(self.catalogue.ids)))
        )

    def _excluded(self, allow: Iterable[Any] | None, deny: Iterable[Any]) -> np.ndarray:
        """Columns that nobody is recommended, ascending."""
        allowed = np.full(len(self.catalogue.ids), allow is None)
        if allow is not None:
            allowed[self.catalogue.columns(allow)] = True
        allowed[self.catalogue.columns(deny)] = False
        return np.flatnonzero(~allowed)

    def _refuse_k(self, k: int, available: int) -> None:
        if available < 1:
            raise ConfigError("nothing may be recommended: allow and deny leave none of the items")
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= available:
            raise ConfigError(
                f"k must be from 1 to {available}, the number of items that may be recommended, "
                f"got {k}"
            )

    # Ranking

    def _many(
        self,
        histories: _Histories,
        k: int,
        exclude_seen: bool,
        allow: Iterable[Any] | None,
        deny: Iterable[Any],
    ) -> Recommendations:
        excluded = torch.from_numpy(self._excluded(allow, deny))
        width, users = len(self.catalogue.ids), len(histories.users)
        self._refuse_k(k, width - len(excluded))
        items, scores = np.full((users, k), -1, np.int64), np.full((users, k), np.nan, np.float32)
        known = np.flatnonzero(np.diff(histories.matrix.indptr))
        tile = max(1, min(TILE, SCORES // width, len(known)))

        def fill(rows: np.ndarray) -> None:
            seen = SparseRows.of(histories.matrix if len(rows) == users else histories.matrix[rows])
            with torch.inference_mode():
                items[rows], scores[rows] = self._best(
                    self._trunk(seen)[1], _Hidden(excluded, seen if exclude_seen else None), k
                )

        _side_by_side(fill, [known[start : start + tile] for start in range(0, len(known), tile)])
        return Recommendations(histories.users, items, scores, self.catalogue)

    def _best(self, h: Tensor, hidden: "_Hidden", k: int) -> tuple[np.ndarray, np.ndarray]:
        """The lists of the users of h (B, K): columns and scores, (B, k), -1 and nan where nothing
        is left.
        """
        h = _on_grid(h, h.shape[1])
        upper = hidden.apply(self._table.upper(h))
        items, scores = torch.empty(len(h), k, dtype=torch.int64), torch.empty(len(h), k)
        left = torch.arange(len(h))
        for some in (2 * k + 12, 16 * k + 96):
            if some < upper.shape[1] and len(left):
                found, proven = self._among(
                    h[left], upper if len(left) == len(h) else upper[left], k, some
                )
                items[left[proven]], scores[left[proven]] = (
                    found.indices[proven],
                    found.values[proven],
                )
                left = left[~proven]
        for rows in left.split(FEW) if len(left) else ():
            best = top_k(hidden.apply(self._table.all(h[rows]), rows), k)
            items[rows], scores[rows] = best.indices, best.values
        nothing = scores == -torch.inf
        return items.masked_fill_(nothing, -1).numpy(), scores.masked_fill_(
            nothing, torch.nan
        ).numpy()

    def _among(self, h: Tensor, upper: Tensor, k: int, some: int) -> tuple[Any, Tensor]:
        """The k best of the `some` items with the highest bounds, and for which users nothing
        better can be left out.
        """
        chosen = top_k(upper, some)
        columns, order = chosen.indices.sort(1)
        scores = self._table.exact(h, columns)
        scores.masked_fill_(chosen.values.gather(1, order) == -torch.inf, -torch.inf)
        best = top_k(scores, k)
        least = chosen.values[:, -1]
        proven = (self._table.margin(least) < best.values[:, -1]) | (least == -torch.inf)
        return best._replace(indices=columns.gather(1, best.indices)), proven


class _Hidden:
    """What is not to be recommended: columns for everybody, and what each user has seen."""

    def __init__(self, columns: Tensor, seen: SparseRows | None) -> None:
        self.columns, self.seen = columns, seen

    def apply(self, scores: Tensor, rows: Tensor | None = None) -> Tensor:
        """Minus infinity there, in scores (B, I) of all users or of some rows."""
        if len(self.columns):
            scores.index_fill_(1, self.columns, -torch.inf)
        if self.seen is not None and rows is None:
            scores[self.seen.rows, self.seen.columns] = -torch.inf
        elif self.seen is not None and rows is not None:
            for at, row in enumerate(rows.tolist()):
                scores[
                    at, self.seen.columns[self.seen.offsets[row] : self.seen.offsets[row + 1]]
                ] = -torch.inf
        return scores

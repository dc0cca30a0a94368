"""Pictures as functions of data: each draws on a matplotlib `Axes`, so it works in a notebook; none reads a run folder."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator


def tiles(images: np.ndarray, columns: int | None = None, gap: int = 1) -> np.ndarray:
    """Images (N, C, H, W) in [0, 1] side by side on white, as one array (rows, columns, C) of uint8; C is 1 or 3."""
    count, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    canvas = np.ones((channels, rows * (height + gap) - gap, columns * (width + gap) - gap))
    for i, picture in enumerate(images):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        canvas[:, top : top + height, left : left + width] = picture
    return np.rint(np.clip(canvas, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def unit(images: np.ndarray, low: float, high: float) -> np.ndarray:
    """Images of values in [low, high] as they are shown: unchanged if that lies in [0, 1], else moved there."""
    return images if low >= 0 and high <= 1 else (images - low) / max(high - low, 1e-12)


def grid(images: np.ndarray, ax: Axes, title: str, columns: int | None = None) -> None:
    """A grid of images (N, C, H, W) in [0, 1]."""
    picture = tiles(images, columns)
    ax.imshow(picture.squeeze(-1) if picture.shape[-1] == 1 else picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    ax.set_title(title, fontsize=10)
    ax.axis("off")


def pairs(originals: np.ndarray, reconstructions: np.ndarray, ax: Axes) -> None:
    """Originals in the odd rows, the reconstruction of each below it; both (N, C, H, W), eight to a row."""
    size = min(8, len(originals))
    rows = [part[i : i + size] for i in range(0, len(originals) - size + 1, size) for part in (originals, reconstructions)]
    grid(np.concatenate(rows), ax, "originals, and below each its reconstruction", size)


def curves(history: Sequence[Mapping[str, float]], ax: Axes, best_epoch: int | None = None) -> None:
    """The bound (or, for an autoencoder, the likelihood term) of each epoch; the first epochs may leave the picture."""
    epochs = [row["epoch"] for row in history]
    finite = all(math.isfinite(row["train_elbo"]) for row in history)
    name = "elbo" if finite else "log_likelihood_term"
    drawn = []
    for split, style in (("train", "-"), ("validation", "--")):
        values = [row.get(f"{split}_{name}", math.nan) for row in history]
        drawn += [v for v in values if math.isfinite(v)]
        ax.plot(epochs, values, style, label=split)
    if best_epoch:
        ax.axvline(best_epoch, color="0.7", linewidth=1, label="best epoch")
    low, high = np.percentile(drawn, 8), max(drawn)
    ax.set_ylim(low - 0.1 * (high - low) - 1e-9, high + 0.05 * (high - low) + 1e-9)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="epoch", ylabel="ELBO (nats)" if finite else "log-likelihood term (nats)")
    ax.legend(frameon=False, fontsize=8)


def marginal(data: np.ndarray, samples: np.ndarray, ax: Axes, name: str, legend: bool = True) -> None:
    """Histograms of one column of the data and of samples from the model, (N,) and (M,)."""
    width = np.ptp(data)
    samples = np.clip(samples, data.min() - width / 2, data.max() + width / 2)  # what lies far outside piles up at the ends
    edges = np.histogram_bin_edges(np.concatenate([data, samples]), bins=50).tolist()
    ax.hist(data, edges, density=True, alpha=0.5, label="data")
    ax.hist(samples, edges, density=True, histtype="step", color="black", label="samples")
    ax.set_title(name, fontsize=9)
    ax.set_yticks([])
    if legend:
        ax.legend(frameon=False, fontsize=8)

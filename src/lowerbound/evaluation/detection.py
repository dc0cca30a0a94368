"""How unlike the training data is an example? Scores, where they stand among others, and how well
they tell two sets apart.
"""

import io
import lzma
import math
from collections.abc import Callable

import numpy as np

from .statistics import Estimate

Numbers = np.ndarray
"""One float64 for each example, (N,)."""


def percentile(values: Numbers, reference: Numbers) -> Numbers:
    """The percentage of `reference` (M,) below each of `values` (N,), in [0, 100]; a tie counts
    half.
    """
    ordered = np.sort(np.asarray(reference, np.float64))
    below, upto = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return 50 * (below + upto) / len(ordered)


def auroc(inside: Numbers, outside: Numbers) -> Estimate:
    """The area under the ROC curve of a score that is high for anomalies, and its standard error.

    It is the probability that an example of `outside` (N,) has a higher score than one of `inside`
    (M,), ties counting half: 1 tells them apart without a mistake, 0.5 is chance, below 0.5 the
    score has it the wrong way round. The standard error is that of DeLong, DeLong & Clarke-Pearson
    1988, from the variances of each example's own share of the area; it is nan where a side has a
    single example, and 0 for scores that do not overlap.
    """
    placed = percentile(outside, inside) / 100, percentile(inside, outside) / 100
    error = (
        math.sqrt(sum(part.var(ddof=1) / len(part) for part in placed))
        if min(map(len, placed)) > 1
        else math.nan
    )
    return Estimate(float(placed[0].mean()), error)


def typicality(log_likelihood: Numbers, training: Numbers) -> Numbers:
    """|log p(x) - mean of log p over the training examples|, in nats: high for an example both less
    and more likely than most.

    Nalisnick et al. 2019, "Detecting out-of-distribution inputs to deep generative models using
    typicality", eq. 5, for sets of one example; the mean is minus the entropy of the model as the
    training examples show it.
    """
    return np.abs(log_likelihood - np.mean(training))


def complexity(images: np.ndarray) -> Numbers:
    """The length in nats, (N,), that lossless general-purpose compression needs for each image of
    (N, C, H, W) uint8, C 1 or 3.

    The L(x) of Serra et al. 2020, "Input complexity and out-of-distribution detection with
    likelihood-based generative models", section 3: the shortest of several codecs, headers
    included.
    """
    codes = codecs()
    lengths = [
        min(len(code(image)) for code in codes)
        for image in np.ascontiguousarray(np.moveaxis(images, 1, -1))
    ]
    return 8 * math.log(2) * np.array(lengths, np.float64)


def codecs() -> list[Callable[[np.ndarray], bytes]]:
    """What `complexity` tries on an image (H, W, C): LZMA on its bytes, PNG, and WebP and JPEG 2000
    where Pillow has them.
    """
    from PIL import features

    found = [_lzma, _picture("PNG", optimize=True)]
    found += [_picture("WEBP", lossless=True)] if features.check("webp") else []
    return found + (
        [_picture("JPEG2000", irreversible=False, no_jp2=True)]
        if features.check("jpg_2000")
        else []
    )


def _lzma(image: np.ndarray) -> bytes:
    small = {
        "id": lzma.FILTER_LZMA2,
        "dict_size": 2**16,
    }  # a larger dictionary takes longer to set up than an image to code
    return lzma.compress(image.tobytes(), lzma.FORMAT_RAW, filters=[small])


def _picture(kind: str, **options: object) -> Callable[[np.ndarray], bytes]:
    def code(image: np.ndarray) -> bytes:
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(
            file, kind, **options
        )
        return file.getvalue()

    return code

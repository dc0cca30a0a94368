"""How unlike the training data is an example? Scores, where they stand among others, and how well
they tell two sets apart.
"""

import io
import lzma
import math
from collections.abc import Callable

import numpy as np

from ..errors import DataError
from .statistics import Estimate

Numbers = np.ndarray
"""One float64 for each example, (N,)."""

LZMA_DICTIONARY = 2**16
"""Bytes of the dictionary of LZMA. A larger one takes longer to set up than an image to code."""


def percentile(values: Numbers, reference: Numbers) -> Numbers:
    """Finds the percentage of `reference` (M,) below each of `values` (N,), in [0, 100].

    A tie counts half. A value that is no number has no percentage: nan.

    Raises:
        DataError: a number of the reference is nan.
    """
    refuse_nan("the reference of percentiles", reference)
    doubles = np.asarray(reference, np.float64)
    ordered = np.sort(doubles)
    below = np.searchsorted(ordered, values, "left")
    below_or_equal = np.searchsorted(ordered, values, "right")
    percentages = 50 * (below + below_or_equal) / len(ordered)
    return np.where(np.isnan(values), np.nan, percentages)


def refuse_nan(what: str, values: Numbers) -> None:
    """Raises DataError if some of these values (N,) are nan, which come neither before nor after
    others.
    """
    count = int(np.isnan(np.asarray(values, np.float64)).sum())
    if count:
        raise DataError(
            f"{what}: {count:,} of {len(values):,} scores are no numbers (nan), so that they have "
            "no order; leave these examples out"
        )


def auroc(inside: Numbers, outside: Numbers) -> Estimate:
    """Measures the area under the ROC curve of a score that is high for anomalies, and its standard
    error.

    It is the probability that an example of `outside` (N,) has a higher score than one of `inside`
    (M,), ties counting half. At 1 the score tells them apart without a mistake, 0.5 is chance, and
    below 0.5 the score has it the wrong way round. The standard error is that of DeLong, DeLong &
    Clarke-Pearson 1988, from the variances of each example's own share of the area. It is nan where
    a side has a single example, and 0 for scores that do not overlap.

    Raises:
        DataError: a score is nan.
    """
    refuse_nan("auroc of the examples inside", inside)
    refuse_nan("auroc of the examples outside", outside)
    outside_shares = percentile(outside, inside) / 100
    inside_shares = percentile(inside, outside) / 100
    area = float(outside_shares.mean())
    if min(len(outside_shares), len(inside_shares)) < 2:
        return Estimate(area, math.nan)
    variance = 0.0
    for shares in (outside_shares, inside_shares):
        variance += shares.var(ddof=1) / len(shares)
    return Estimate(area, math.sqrt(variance))


def average_precision(marks: np.ndarray, scores: Numbers) -> float:
    """Measures the average precision of a score that is high for anomalies.

    It is the mean, over the anomalies, of the part of anomalies among all examples of a score as
    high or higher; as many anomalies as ordinary examples that cannot be told apart give 0.5.
    Without an interpolation, as `sklearn.metrics.average_precision_score` has it.

    Args:
        marks: which examples are anomalies, (N,) bool, some of them.
        scores: (N,).

    Raises:
        DataError: a score is nan, or there is no anomaly.
    """
    refuse_nan("average precision", scores)
    if not marks.any():
        raise DataError("average precision: there is no anomaly among the examples")
    _, group = np.unique(-scores, return_inverse=True)
    examples = np.bincount(group)
    anomalies = np.bincount(group, weights=marks)
    precision = np.cumsum(anomalies) / np.cumsum(examples)
    return float((precision * anomalies).sum() / anomalies.sum())


def typicality(log_likelihood: Numbers, training: Numbers) -> Numbers:
    """Measures |log p(x) - mean of log p over the training examples|, in nats.

    It is high for an example both less and more likely than most (Nalisnick et al. 2019, "Detecting
    out-of-distribution inputs to deep generative models using typicality", eq. 5, for sets of one
    example). The mean is minus the entropy of the model as the training examples show it.
    """
    typical = np.mean(training)
    return np.abs(log_likelihood - typical)


def complexity(images: np.ndarray) -> Numbers:
    """Measures the length in nats, (N,), that lossless general-purpose compression needs for each
    image of (N, C, H, W) uint8, C 1 or 3.

    It is the L(x) of Serra et al. 2020, "Input complexity and out-of-distribution detection with
    likelihood-based generative models", section 3: the shortest of several codecs, headers
    included.
    """
    encoders = codecs()
    channels_last = np.moveaxis(images, 1, -1)
    lengths = []
    for image in np.ascontiguousarray(channels_last):
        codes = [encode(image) for encode in encoders]
        lengths.append(min(map(len, codes)))
    nats_per_byte = 8 * math.log(2)
    return nats_per_byte * np.array(lengths, np.float64)


def codecs() -> list[Callable[[np.ndarray], bytes]]:
    """Lists the codecs that `complexity` tries on an image (H, W, C).

    They are LZMA on the bytes of the image, PNG, and WebP and JPEG 2000 where Pillow has them.
    """
    from PIL import features

    encoders = [_encode_lzma, _picture_codec("PNG", optimize=True)]
    if features.check("webp"):
        encoders.append(_picture_codec("WEBP", lossless=True))
    if features.check("jpg_2000"):
        encoders.append(_picture_codec("JPEG2000", irreversible=False, no_jp2=True))
    return encoders


def _encode_lzma(image: np.ndarray) -> bytes:
    compression = {"id": lzma.FILTER_LZMA2, "dict_size": LZMA_DICTIONARY}
    return lzma.compress(image.tobytes(), lzma.FORMAT_RAW, filters=[compression])


def _picture_codec(kind: str, **options: object) -> Callable[[np.ndarray], bytes]:
    def encode(image: np.ndarray) -> bytes:
        from PIL import Image

        if image.shape[-1] == 1:
            image = image[..., 0]
        file = io.BytesIO()
        Image.fromarray(image).save(file, kind, **options)
        return file.getvalue()

    return encode

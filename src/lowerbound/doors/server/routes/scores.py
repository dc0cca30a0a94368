"""Measuring examples: nats, percentiles, odd cells."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from ..current import Chosen
from ..inputs import as_split, read_examples
from ..outputs import Answer
from ..schemas import ScoreAnswer, ScoreBody
from ..scoring import refuse_without_likelihood, score

router: APIRouter = APIRouter(tags=["scores"])


@router.post("/score", response_model=ScoreAnswer)
async def score_examples(served: Chosen, body: ScoreBody) -> Response:
    """Gives the bound and the log-likelihood of each example, in nats, and where the likelihood
    stands among those of held-out examples.
    """
    refuse_without_likelihood(served)

    def work() -> dict[str, Any]:
        split = as_split(served.run, read_examples(served.run, body.examples), body.given or None)
        scored = score(served, split, body.samples, body.seed)
        return {
            "examples": scored.lines(),
            "samples": scored.samples,
            "reference": scored.reference,
            "reference_split": scored.reference_split,
            "caveat": served.run.caveat(split),
            "notes": list(served.notes),
        }

    return Answer(await served.work(work))

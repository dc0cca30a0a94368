"""What a fit tells while it trains."""


class Follower:
    """A listener to a fit. This one ignores everything; a subclass says what it does instead."""

    def epoch_done(self, history: list[dict[str, float]]) -> None:
        """Receives the metrics of all epochs after each epoch, in the first process only."""

    def progress(self, epoch: int, examples: int, text: str) -> None:
        """Receives how far training is, every few steps.

        Args:
            epoch: number of the epoch under way, from 1.
            examples: training examples seen since the start of the run, each epoch anew.
            text: what to show beside it, such as the bound so far.
        """

    def ends_fit(self) -> bool:
        """Says, once an epoch has been told, whether the fit is to end with it, as patience ends
        it: in order, with its checkpoint and its best weights.

        It is asked in each process, and must say the same in all.
        """
        return False


NOBODY = Follower()
"""The follower of a fit that nobody follows."""

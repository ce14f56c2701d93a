"""Two designs on the same examples: is one really better?"""

from explorer.analysis.bootstrap import examples_to_tell, paired_interval, tells
from explorer.analysis.pool import Pool
from explorer.analysis.result import Comparison, Verdict
from explorer.analysis.scoring.score import Memo, candidate_decisions
from explorer.spec import Candidate


def compare(
    pool: Pool, first: Candidate, second: Candidate, *, split: str = "report", memo: Memo | None = None
) -> Comparison:
    """Compare two designs' accuracy, paired on the same examples.

    Args:
        pool: the members' probabilities and labels.
        first: the design the verdict is about.
        second: what it is compared with.
        split: whose examples; ``select`` only to choose with, never to quote.
        memo: remembered answers of stages, see `explorer.analysis.scoring.score.candidate_decisions`.

    Raises:
        UsageError: a member is not in the pool.
    """
    labels = pool.arrays(split)[1]
    first_right = candidate_decisions(pool, first, split, memo=memo)[0] == labels
    second_right = candidate_decisions(pool, second, split, memo=memo)[0] == labels
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    difference = paired_interval(only_first, only_second, len(labels))
    verdict = Verdict.CANNOT_TELL
    if tells(difference):
        verdict = Verdict.BETTER if difference.value > 0 else Verdict.WORSE
    return Comparison(
        first=first,
        second=second,
        difference=difference,
        verdict=verdict,
        only_first_right=only_first,
        only_second_right=only_second,
        examples_to_tell=examples_to_tell(only_first, only_second, len(labels)),
    )

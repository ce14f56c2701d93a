"""Every part must earn its place: of thousands of designs around one network some are ahead of it by luck."""

from collections.abc import Sequence

from explorer.analysis.costs import stages_of
from explorer.analysis.pool import Pool
from explorer.analysis.result import Verdict
from explorer.analysis.scoring.score import Memo
from explorer.analysis.statistics.compare import compare
from explorer.spec import Candidate, Single


def first_by_parts(
    pool: Pool, ranked: Sequence[Candidate], dearer: Sequence[bool], memo: Memo
) -> tuple[int, tuple[str, ...]]:
    """Return which design goes first: the best one, or a part that ``select`` cannot tell from it.

    Args:
        pool: the members' probabilities and labels.
        ranked: designs, best first; at least one.
        dearer: whether each costs more than the best one on some axis.
        memo: remembered answers of stages.

    Returns:
        its place in ``ranked``, and a note where that is not the first.
    """
    whole = ranked[0]
    parts = {*stages_of(whole), *map(Single, whole.members)} - {whole}
    for place in sorted(range(1, len(ranked)), key=lambda place: len(ranked[place].members)):
        other = ranked[place]
        if other not in parts or dearer[place]:
            continue
        ahead = compare(pool, whole, other, split="select", memo=memo)
        if ahead.verdict is Verdict.CANNOT_TELL:
            note = (
                f"{whole} was {100 * ahead.difference.value:.2f} points ahead on the examples it was "
                f"chosen on, too little to tell it from its own part {other}, which costs no more"
            )
            return place, (note,)
    return 0, ()

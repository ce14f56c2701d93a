"""Predictions cut to their k largest probabilities, and averages scored from them with a certificate.

Per example: the k largest probabilities with their classes, the true class's probability, and what the
classes left out of the list have together. From these the sum of every class under ``mean`` has a lower and
an upper bound, in integers: where the leader's lower bound beats every other class's upper bound, the answer
is the exact one; where it does not, the example is counted as open. So accuracy comes as an interval that
holds the exact one, and the negative log-likelihood, which needs only the true class, is exact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.analysis.blocks import blocks, check_members
from explorer.analysis.scoring.combine import FIXED_POINT
from explorer.analysis.scoring.topk_kernels import certify, largest
from explorer.analysis.scoring.true_class import TrueClassScorer
from explorer.analysis.scoring.weightings import check_block, check_labels, weightings_of_sets
from explorer.errors import InputDataError, UsageError
from explorer.spec import Averaging

_ANSWERS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TopK:
    """One member's predictions of a split, cut to the k largest."""

    values: np.ndarray
    """The k largest probabilities, falling, float16 ``[example, k]``."""
    classes: np.ndarray
    """Their classes, of equal probabilities the lowest, unsigned ``[example, k]``."""
    true: np.ndarray
    """Probability of the true class, float16 ``[example]``."""
    residual: np.ndarray
    """Sum of all probabilities that are not in the list, in units of 2^-24, int32 ``[example]``."""
    class_count: int

    @property
    def nbytes(self) -> int:
        """Return the bytes of its arrays."""
        return sum(a.nbytes for a in (self.values, self.classes, self.true, self.residual))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return plain arrays to save, by name, as `numpy.savez` takes them."""
        return {
            "values": self.values,
            "classes": self.classes,
            "true": self.true,
            "residual": self.residual,
            "class_count": np.array(self.class_count),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What sets of members answer, as far as the lists tell."""

    decisions: np.ndarray
    """The class with the largest lower bound, int32 ``[set, example]``; exact where certified."""
    certified: np.ndarray
    """bool ``[set, example]``"""
    right: np.ndarray
    """1 surely right, 0 surely wrong, -1 cannot tell, int8 ``[set, example]``; told for more examples than
    are certified, because the true class's sum is exact."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CertifiedScores:
    """Sets of members scored from lists; every array is float64 ``[set]``."""

    certified_share: np.ndarray
    """Share of examples whose answer is certain."""
    certified_accuracy: np.ndarray
    """Accuracy of those; not a number where there are none."""
    low: np.ndarray
    """The exact accuracy is this at least: the share surely right."""
    high: np.ndarray
    """And this at most: the share not surely wrong."""
    nll: np.ndarray
    """Negative log-likelihood in nats, exact."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TopKScorer:
    """Lists of several members, ready for any number of sets under ``mean``."""

    values: np.ndarray
    """In units of 2^-24, int32 ``[member, example, k]``."""
    classes: np.ndarray
    """``[member, example, k]``"""
    true: np.ndarray
    """The true class's probability in units of 2^-24, int32 ``[member, example]``."""
    caps: np.ndarray
    """The most a class may have that is neither listed nor the true one, int32 ``[member, example]``."""
    labels: np.ndarray
    class_count: int

    def answers(self, sets: np.ndarray) -> Answers:
        """Return what each set answers; ``[set, example]`` arrays, so ask for few sets at a time.

        Args:
            sets: member indices ``[set, slot]``, padded with -1 at the end; a repeat counts again.

        Raises:
            InputDataError: another shape, an empty set, a member that does not exist.
        """
        weightings_of_sets(sets, len(self.values))
        held = (self.values, self.classes, self.true, self.caps)
        leaders, certain, right = certify(
            np.ascontiguousarray(sets, dtype=np.int32), held, self.labels, self.class_count
        )
        return Answers(decisions=leaders, certified=certain.astype(bool), right=right)

    def score_sets(self, sets: np.ndarray) -> CertifiedScores:
        """Return accuracy with its bounds, and the loss, of each set; see `answers`.

        Raises:
            InputDataError: another shape, an empty set, a member that does not exist.
        """
        weightings = weightings_of_sets(sets, len(self.values))
        examples = len(self.labels)
        counts = np.zeros((4, len(sets)))
        step = max(1, _ANSWERS_AT_ONCE // examples)
        for start in range(0, len(sets), step):
            part = slice(start, start + step)
            found = self.answers(sets[part])
            hit = found.certified & (found.decisions == self.labels)
            for row, what in enumerate((found.certified, hit, found.right == 1, found.right != 0)):
                counts[row, part] = np.count_nonzero(what, axis=1)
        certified, hits, least, most = counts
        loss = TrueClassScorer(values=self.true.astype(np.float32), averaging=Averaging.MEAN)
        return CertifiedScores(
            certified_share=certified / examples,
            certified_accuracy=np.divide(
                hits, certified, out=np.full(len(sets), np.nan), where=certified > 0
            ),
            low=least / examples,
            high=most / examples,
            nll=loss(weightings).values,
        )


def truncate(member: np.ndarray, labels: np.ndarray, k: int) -> TopK:
    """Cut a member's predictions to the k largest, block by block.

    Args:
        member: float16 ``[example, class]``, in memory or mapped.
        labels: true classes ``[example]``.
        k: how many to keep; all of them where there are fewer classes.

    Raises:
        InputDataError: members or labels that do not fit together, or impossible probabilities.
        UsageError: ``k`` is not positive.
    """
    if k < 1:
        raise UsageError(f"a list must hold at least one class, got k = {k}")
    examples, classes = check_members([member])
    k = min(k, classes)
    truth = check_labels(np.asarray(labels), examples, classes)
    values, ids = np.empty((examples, k), np.uint16), np.empty((examples, k), _smallest(classes))
    true, residual = np.empty(examples, np.uint16), np.empty(examples, np.int32)
    for part, block in blocks([member]):
        codes = check_block(block)[0]
        best = largest(codes, k)
        values[part], ids[part] = np.take_along_axis(codes, best, axis=1), best
        true[part] = codes[np.arange(len(codes)), truth[part]]
        # exact: multiples of 2^-24, and their sum is far below 2^53 of those
        whole = codes.view(np.float16).sum(axis=1, dtype=np.float64)
        rest = whole - values[part].view(np.float16).sum(axis=1, dtype=np.float64)
        residual[part] = np.minimum(rest * FIXED_POINT, np.iinfo(np.int32).max)
    return TopK(
        values=values.view(np.float16),
        classes=ids,
        true=true.view(np.float16),
        residual=residual,
        class_count=classes,
    )


def from_arrays(arrays: Mapping[str, np.ndarray]) -> TopK:
    """Return what `TopK.to_arrays` gave.

    Raises:
        InputDataError: an array is missing, of another type or shape, or the lists are not what they claim.
    """
    wanted = {"values", "classes", "true", "residual", "class_count"}
    if missing := wanted - set(arrays):
        raise InputDataError(f"a truncated prediction lacks {', '.join(sorted(missing))}")
    values, ids, true, residual = (arrays[n] for n in ("values", "classes", "true", "residual"))
    count = int(arrays["class_count"])
    shapes = values.ndim == 2 and ids.shape == values.shape and 1 <= values.shape[1] <= count
    if not shapes or not true.shape == residual.shape == values.shape[:1]:
        raise InputDataError(
            f"a truncated prediction of {count} classes needs values and classes [example, k], true and "
            f"residual [example], got {[list(a.shape) for a in (values, ids, true, residual)]}"
        )
    kinds = (values.dtype, ids.dtype, true.dtype, residual.dtype)
    if kinds != (np.float16, _smallest(count), np.float16, np.int32):
        raise InputDataError(
            f"a truncated prediction must be float16, {np.dtype(_smallest(count))}, float16, int32, "
            f"got {', '.join(map(str, kinds))}"
        )
    for row in (values, true):
        check_block(np.ascontiguousarray(row))
    ordered = np.sort(ids, axis=1)
    if (values[:, 1:] > values[:, :-1]).any() or (ids >= count).any() or (residual < 0).any():
        raise InputDataError(
            "a truncated prediction's lists must fall, name real classes, and leave no less than 0"
        )
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        raise InputDataError("a truncated prediction names a class twice")
    return TopK(values=values, classes=ids, true=true, residual=residual, class_count=count)


def prepare_topk(members: Sequence[TopK], labels: np.ndarray) -> TopKScorer:
    """Lay members' lists side by side for scoring sets of them.

    Args:
        members: of one split, with the same k.
        labels: the true classes they were cut with ``[example]``.

    Raises:
        InputDataError: no members, other shapes, or labels that contradict the true class's probabilities.
    """
    if len(members) == 0:
        raise InputDataError("no members to score sets of")
    first = members[0]
    for number, member in enumerate(members):
        if member.values.shape != first.values.shape or member.class_count != first.class_count:
            raise InputDataError(
                f"member {number} holds {list(member.values.shape)} [example, k] of {member.class_count} "
                f"classes, the first one {list(first.values.shape)} of {first.class_count}"
            )
    examples, k = first.values.shape
    truth = check_labels(np.asarray(labels), examples, first.class_count)
    shape = (len(members), examples)
    values, true, caps = np.empty((*shape, k), np.int32), np.empty(shape, np.int32), np.empty(shape, np.int32)
    for row, member in enumerate(members):
        values[row], true[row] = _fixed(member.values), _fixed(member.true)
        listed = member.classes == truth[:, None]
        outside = ~listed.any(axis=1)
        same = np.where(listed, values[row], true[row][:, None]) == true[row][:, None]
        room = np.minimum(values[row, :, -1], member.residual)
        if not same.all() or (true[row] > room)[outside].any():
            raise InputDataError(f"member {row} was cut with other labels: its true class's values differ")
        left = member.residual - np.where(outside, true[row], 0)
        caps[row] = np.minimum(values[row, :, -1], left)
    return TopKScorer(
        values=values,
        classes=np.stack([member.classes for member in members]),
        true=true,
        caps=caps,
        labels=truth,
        class_count=first.class_count,
    )


def _fixed(values: np.ndarray) -> np.ndarray:
    fixed: np.ndarray = (values.astype(np.float32) * np.float32(FIXED_POINT)).astype(np.int32)
    return fixed


def _smallest(classes: int) -> type[np.unsignedinteger]:
    """Return the smallest type that holds every class's index."""
    return next(t for t in (np.uint8, np.uint16, np.uint32) if classes - 1 <= np.iinfo(t).max)

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import UsageError
from explorer.spec import (
    Averaging,
    Cascade,
    Ensemble,
    Exit,
    Member,
    ModelSpec,
    Signal,
    Single,
    averaging_of,
    design_id,
    ensemble,
    parse_design,
    parse_member,
    parse_model,
    with_members,
)

NAMES = st.one_of(
    st.sampled_from(["wrn16-4", "wrn10-0.125", "mlp64x2", "mobile-x0.5", "timm:convnext_tiny.fb_in1k"]),
    st.from_regex(r"[A-Za-z][A-Za-z0-9_.:+]{0,8}(-[A-Za-z0-9_.:+]{1,5}){0,2}", fullmatch=True),
)
MEMBERS = st.builds(
    Member,
    name=NAMES,
    resolution=st.one_of(st.just(0), st.integers(1, 4096)),
    seed=st.integers(0, 10**9),
    recipe=st.one_of(st.just(""), st.from_regex(r"[A-Za-z0-9_.-]{1,12}", fullmatch=True)),
)
STAGES = st.one_of(
    st.builds(Single, MEMBERS),
    st.builds(ensemble, st.lists(MEMBERS, min_size=2, max_size=5), st.sampled_from(Averaging)),
)


@st.composite
def cascades(draw: st.DrawFn) -> Cascade:
    """Any cascade there can be: 2 to 4 stages, every signal, joined wherever the rules allow it."""
    stages = draw(st.lists(STAGES, min_size=2, max_size=4).map(tuple))
    rules = [averaging_of(stage) for stage in stages]
    joined = tuple(a is b and draw(st.booleans()) for a, b in itertools.pairwise(rules))
    plain = Cascade(stages, (Exit(0.5),) * (len(stages) - 1), joined)
    exits = []
    for answering in plain.combined[:-1]:
        alone = len(set(answering.members)) < 2
        signal = draw(st.sampled_from([s for s in Signal if not (alone and s is Signal.AGREEMENT)]))
        exits.append(Exit(draw(st.floats(0, 100 if signal is Signal.ENTROPY else 1)), signal))
    return Cascade(stages, tuple(exits), joined)


CASCADES = cascades()
DESIGNS = st.one_of(STAGES, CASCADES)


@given(DESIGNS)
def test_text_parses_back_to_the_same_value(design) -> None:
    assert parse_design(str(design)) == design


@given(DESIGNS)
def test_text_is_canonical_and_survives_other_spacing(design) -> None:
    text = str(design)
    loose = text.replace(", ", " ,  ").replace(" -> ", "->").replace("] ", "]   ")

    assert str(parse_design(f"  {loose} ")) == text


@given(DESIGNS)
def test_text_fits_in_one_line(design) -> None:
    assert "\n" not in str(design)


@given(st.lists(MEMBERS, min_size=2, max_size=5), st.randoms())
def test_order_of_ensemble_members_carries_no_meaning(members, random) -> None:
    shuffled = list(members)
    random.shuffle(shuffled)

    assert ensemble(members) == ensemble(shuffled)
    assert design_id(ensemble(members)) == design_id(ensemble(shuffled))


def test_seeds_sort_as_numbers() -> None:
    text = "mean(wrn16-4@32#10, wrn16-4@32#9)"

    assert str(parse_design(text)) == "mean(wrn16-4@32#9, wrn16-4@32#10)"


def test_examples_of_the_design_document() -> None:
    small, big = Member("wrn16-2", 32, 0), [Member("wrn16-4", 32, 0), Member("wrn16-4", 32, 1)]

    assert parse_design("wrn16-4@32#0") == Single(big[0])
    assert parse_design("mean(wrn16-4@32#0, wrn16-4@32#1)") == Ensemble(tuple(big))
    assert parse_design("wrn16-2@32#0 -> [p>=0.83] mean(wrn16-4@32#0, wrn16-4@32#1)") == Cascade(
        (Single(small), Ensemble(tuple(big))), (Exit(0.83),)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a member: ''"),
        ("wrn16-4@#0", "not a member: 'wrn16-4@#0'; wanted NAME@RESOLUTION#SEED"),
        ("wrn16-4~a#", "not a member: 'wrn16-4~a#'"),
        ("wrn16-4@32", "not a member"),
        ("mean(wrn16-4@32#0)", "an ensemble needs at least 2 members, got 1"),
        ("median(wrn16-4@32#0, wrn16-4@32#1)", "unknown averaging rule 'median'; known: mean, geometric"),
        ("a@8#0 -> b@8#0", "not a cascade stage: 'b@8#0'; wanted e.g. [p>=0.83]"),
        ("a@8#0 -> [p>=1.5] b@8#0", "exit threshold must be in [0, 1], got 1.5"),
        ("a@8#0 -> [p>=-0.1] b@8#0", "exit threshold must be in [0, 1], got -0.1"),
        ("a@8#0 -> [p>=nan] b@8#0", "exit threshold must be in [0, 1], got nan"),
        ("a@8#0 -> [p>=high] b@8#0", "exit threshold must be a number, got 'high'"),
        ("a@8#0 -> [q>=0.5] b@8#0", "unknown exit signal 'q'; known: p, margin, entropy, agreement"),
        ("a@8#0 -> [margin>=1.1] b@8#0", "exit threshold must be in [0, 1], got 1.1"),
        ("mean(a#0, b#0) -> [agreement>=2] c#0", "exit threshold must be in [0, 1], got 2.0"),
        ("a@8#0 -> [entropy<=-0.1] b@8#0", "exit threshold must be in [0, 100] nats, got -0.1"),
        ("a@8#0 -> [entropy<=inf] b@8#0", "exit threshold must be in [0, 100] nats, got inf"),
        ("a@8#0 -> [entropy>=0.3] b@8#0", "entropy must be <= a threshold; wanted [entropy<=0.3]"),
        ("a@8#0 -> [margin<=0.3] b@8#0", "margin must be >= a threshold; wanted [margin>=0.3]"),
        ("a@8#0 -> [p=0.3] b@8#0", "not a cascade stage: '[p=0.3] b@8#0'"),
        ("a#0 -> [agreement>=0.5] b#0", "agreement needs at least 2 different members, a#0 has 1"),
        ("mean(a#0, a#0) -> [agreement>=0.5] b#0", "2 different members, mean(a#0, a#0) has 1"),
        ("a#0 -> [p>=0.5] + a#0 -> [agreement>=0.5] b#0", "2 different members, mean(a#0, a#0) has 1"),
        ("vote(a#0, b#0) -> [p>=0.5] + c#0", "joined by + must average alike, got vote and mean"),
        ("a#0 -> [p>=0.5] + geometric(a#0, b#0)", "must average alike, got mean and geometric"),
        ("a#0 -> [p>=0.5] + + b#0", "not a member: '+ b#0'"),
        ("+ a#0 -> [p>=0.5] b#0", "not a member: '+ a#0'"),
        ("a@0#0", "resolution of a must be at least 1 pixel, got 0"),
    ],
)
def test_what_is_not_a_design_is_refused_in_one_line(text, message) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        parse_design(text)

    assert "\n" not in str(caught.value)


def test_models_parse_with_and_without_resolution() -> None:
    assert parse_model("timm:vit_small_patch16_224") == ModelSpec("timm:vit_small_patch16_224")
    assert parse_model("wrn28-10@32") == ModelSpec("wrn28-10", 32)
    assert str(parse_model("wrn28-10@32")) == "wrn28-10@32"
    assert parse_member("wrn28-10@32~long-1a2b#3") == Member("wrn28-10", 32, 3, "long-1a2b")


def test_a_member_from_elsewhere_has_no_resolution() -> None:
    google = parse_member("google~imported#0")

    assert google == Member("google", 0, 0, "imported")
    assert google.model == ModelSpec("google", None)
    assert str(google) == "google~imported#0"
    assert str(parse_design("b#1 -> [p>=0.5] mean(a#0, a@8#0)")) == "b#1 -> [p>=0.5] mean(a#0, a@8#0)"
    with pytest.raises(UsageError, match="resolution of google must be at least 1 pixel"):
        Member("google", -1, 0)


def test_a_cascade_needs_one_exit_fewer_than_stages() -> None:
    stage = Single(Member("a", 8, 0))

    with pytest.raises(UsageError, match="2 stages needs 1 exit thresholds, got 2"):
        Cascade((stage, stage), (Exit(0.5), Exit(0.5)))


def test_a_cascade_needs_one_mark_of_joined_stages_an_exit() -> None:
    stage = Single(Member("a", 8, 0))

    with pytest.raises(UsageError, match="2 stages needs 1 marks of joined stages, got 2"):
        Cascade((stage, stage), (Exit(0.5),), (True, False))


def test_stages_are_not_joined_unless_asked() -> None:
    stages = Single(Member("a", 8, 0)), Single(Member("b", 8, 0))

    plain = Cascade(stages, (Exit(0.5),))

    assert plain == Cascade(stages, (Exit(0.5),), (False,)) == parse_design("a@8#0 -> [p>=0.5] b@8#0")
    assert plain != Cascade(stages, (Exit(0.5),), (True,)) == parse_design("a@8#0 -> [p>=0.5] + b@8#0")
    assert Exit(0.5) == Exit(0.5, "p") == Exit(0.5, Signal.P)
    assert plain.combined == stages


def test_a_joined_stage_averages_back_to_the_last_that_is_not() -> None:
    text = "a#0 -> [p>=0.5] + mean(b#0, a#0) -> [margin>=0.5] + b#1 -> [entropy<=0.5] c#0 -> [p>=0.5] + a#0"

    found = parse_design(text)

    assert str(found) == text.replace("mean(b#0, a#0)", "mean(a#0, b#0)")
    assert [str(stage) for stage in found.combined] == [
        "a#0",
        "mean(a#0, a#0, b#0)",
        "mean(a#0, a#0, b#0, b#1)",
        "c#0",
        "mean(a#0, c#0)",
    ]
    assert [str(stage) for stage in found.stages] == ["a#0", "mean(a#0, b#0)", "b#1", "c#0", "a#0"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("wrn16-2@32#0 -> [p>=0.83] mean(wrn16-4@32#0, wrn16-4@32#1)", "e8f9b7421288"),
        ("a@8#0 -> [p>=0.5] logit(a@8#0, a@8#0, b@8#1) -> [p>=1.0] b@8#1", "3548f5851991"),
        ("vote(a#0, b#1)", "42e8877b819a"),
    ],
)
def test_a_design_keeps_its_text_and_id_for_good(text, name) -> None:
    """Stores and artefacts hold them."""
    assert str(parse_design(text)) == text
    assert design_id(parse_design(text)) == name


def test_members_of_a_design_are_renamed_wherever_they_stand() -> None:
    text = "a@8#0 -> [margin>=0.5] + mean(a@8#0, a@8#0, b@8#1) -> [p>=0.9] logit(a@8#0, b@8#1)"
    names = {Member("a", 8, 0): Member("a", 8, 0, "z-1"), Member("b", 8, 1): Member("b", 8, 1, "y-2")}
    renamed = with_members(parse_design(text), names)
    assert str(renamed) == text.replace("a@8#", "a@8~z-1#").replace("b@8#", "b@8~y-2#")

import pytest

from explorer.analysis.bootstrap import wilson
from explorer.analysis.published.points import PublishedPoint, Share
from explorer.analysis.published.recipes import difference, free_accuracy, training_data
from explorer.convention import Basis
from explorer.data.timm_results import AccuracyRow
from explorer.record import CostFigure


def share(right: int, n: int = 1000) -> Share:
    low, high = wilson(right, n)
    return Share(value=right / n, low=low, high=high, n=n)


def point(model: str, right: int, cost: float = 1.0, resolution: int = 224) -> PublishedPoint:
    return PublishedPoint(
        row=AccuracyRow(model=model, resolution=resolution, top1=right / 1000, top5=1.0, params=3.0),
        accuracy=share(right),
        costs=(CostFigure(value=cost, low=cost, high=cost, basis=Basis.PUBLISHED),),
        timed=(None,),
        joined_by=(None,),
        others={},
    )


@pytest.mark.parametrize(
    ("tag", "data"),
    [
        ("in1k", ()),
        ("a1_in1k", ()),
        ("ra4_e3600_r224_in1k", ()),
        ("mae_in1k_ft_in1k", ()),
        ("sw_in12k_ft_in1k_384", ("in12k",)),
        ("fb_in22k_ft_in1k", ("in22k",)),
        ("mim_m38m_ft_in22k_in1k", ("in22k", "m38m")),
        ("clip_laion2b_soup_ft_in12k_in1k", ("clip", "in12k", "laion2b")),
        ("ns_jft_in1k", ("jft", "ns")),
        ("webli_ft_in1k", ("webli",)),
        ("fb_swsl_ig1b_ft_in1k", ("ig1b", "swsl")),
        ("fb_ssl_yfcc100m_ft_in1k", ("ssl", "yfcc100m")),
        ("openai_ft_in1k", ("openai",)),
        ("fb_dist_in1k", ("teacher",)),
        ("dist_450e_in1k", ("teacher",)),
        ("bd_ssld_6m_in1k", ("6m", "teacher")),
        ("dist_in22k_ft_in1k", ("in22k", "teacher")),
        ("", None),
        ("in22k", None),
    ],
)
def test_what_weights_learned_from_stands_in_their_tag(tag: str, data) -> None:
    assert training_data(tag) == data


def test_only_recipes_on_the_same_data_at_the_same_size_are_compared() -> None:
    models = [
        point("a.tv_in1k", 700),
        point("a.mid_in1k", 750),
        point("a.a1_in1k", 800),
        point("a.fb_in22k_ft_in1k", 900),
        point("a.x_in22k_ft_in1k", 890),
        point("a.fb_dist_in1k", 850),
        point("a.a1_in1k", 820, resolution=288),
        point("a", 990),
        point("b.only_in1k", 650),
        point("c.one_in1k", 600),
        point("c.two_in1k", 600),
    ]
    found = free_accuracy(models)

    assert [(one.before.row.tag, one.after.row.tag, one.data) for one in found] == [
        ("tv_in1k", "a1_in1k", ()),
        ("x_in22k_ft_in1k", "fb_in22k_ft_in1k", ("in22k",)),
    ]
    assert [one.gain for one in found] == pytest.approx([0.1, 0.01])
    assert found[0].low < 0.1 < found[0].high


def test_near_the_front_is_within_a_point_of_the_best_as_cheap_with_the_same_data() -> None:
    models = [
        point("a.tv_in1k", 700),
        point("a.a1_in1k", 800),
        point("b.x_in1k", 809),
        point("c.tv_in1k", 700, cost=2.0),
        point("c.a1_in1k", 798, cost=2.0),
        point("d.x_in22k_ft_in1k", 950),
        point("e.x_in1k", 990, cost=3.0),
    ]
    near = {one.after.row.architecture: one.near_front for one in free_accuracy(models)}
    assert near == {"a": True, "c": False}


def test_a_difference_of_shares_has_newcombes_interval() -> None:
    """Newcombe 1998, table II, example (a): 56/70 against 48/80, method 10: 0.0524 to 0.3339."""
    low, high = difference(share(48, 80), share(56, 70))
    assert (low, high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


def test_without_the_number_of_images_there_is_no_interval() -> None:
    unknown = Share(value=0.5, low=None, high=None, n=None)
    assert difference(unknown, share(600)) == (None, None)


def test_an_architecture_that_learns_from_a_teacher_says_so() -> None:
    assert training_data("in1k_ft_in1k", "beitv2_large_patch16_224") == ("teacher",)
    assert training_data("in1k_ft_in1k", "beit_large_patch16_224") == ()

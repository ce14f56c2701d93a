"""The figure of groups of published models: what is drawn, and that it is drawn the same again."""

import io
import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image

from explorer.analysis.published.front import PublishedQuestion, published_front
from explorer.analysis.published.groups import Grouping
from explorer.errors import UsageError
from explorer.report.published_figure import (
    _figure,
    draw_published_png,
    draw_published_svg,
    published_figure_info,
    write_published_figure,
)
from explorer.run.importing_catalogue import import_catalogue
from explorer.run.importing_timm import read_timm, store_timm
from explorer.store import Store
from tests.catalogue_families import SUPERNETS, families, row
from tests.timm_folder import write_timm


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figure")
    many = [row(f"mlp{width}x2", 0.5 + width / 1000) for width in (64, 128, 256)]
    with Store.open(folder / "store") as store:
        store_timm(store, read_timm(write_timm(folder / "timm")))
        import_catalogue(store, families(many), supernets=SUPERNETS, update=lambda share, text: None)

        def found(grouping=Grouping.KIND, members=0, **more):
            question = PublishedQuestion(
                dataset="imagenet", costs=("macs",), grouping=grouping, members=members, **more
            )
            front = published_front(store, question)
            return front, published_figure_info(front)

        yield found


def test_every_group_has_its_line_and_ensembles_theirs_in_the_same_style(ask) -> None:
    front, info = ask(members=2)
    solid = {line.label: line for line in info.lines if not line.predicted}
    assert set(solid) == {group.name for group in front.groups}
    for group in front.groups:
        line = solid[group.name]
        assert line.costs == tuple(point.costs[0].value for point in group.points)
        assert line.accuracies == tuple(point.accuracy.value for point in group.points)
        (dashed,) = [one for one in info.lines if one.predicted and one.style == line.style]
        assert dashed.accuracies == tuple(one.accuracy.value for one in group.ensembles)
        assert dashed.label == f"ensembles of {group.name}, predicted"
    assert len({line.style for line in solid.values()}) == len(solid)
    assert not any(line.predicted for line in ask()[1].lines)


def test_an_arrow_is_from_the_worst_to_the_best_recipe_at_one_cost(ask) -> None:
    _, info = ask()
    (arrow,) = info.arrows
    assert (arrow.label, arrow.gain) == ("larch50@224", "+4.1")
    assert (arrow.before, arrow.after, arrow.cost) == (0.7613, 0.8021, pytest.approx(4.11e9))
    assert "another recipe: larch50@224 +4.1 points" in info.alt


def test_groups_beyond_the_colours_are_dots_and_said(ask, monkeypatch) -> None:
    from explorer.report import published_figure

    assert ask(Grouping.FAMILY)[1].others == ()
    monkeypatch.setattr(published_figure, "_MOST_LINES", 2)
    front, info = ask(Grouping.FAMILY)
    assert (len(info.lines), info.others_label) == (2, f"fronts of {len(front.groups) - 2} more groups")
    drawn = {line.label for line in info.lines}
    assert len(info.others) == sum(len(group.points) for group in front.groups if group.name not in drawn)
    assert info.notes == (f"the figure has lines for 2 of {len(front.groups)} groups; --only takes families",)


def test_the_svg_is_whole_says_what_it_shows_and_is_the_same_again(ask) -> None:
    _, info = ask(members=2)
    svg = draw_published_svg(info)
    assert svg == draw_published_svg(info)
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == info.alt
    text = " ".join(part.strip() for part in root.itertext())
    for wanted in (
        "sub-networks of supernets",
        "dashed: ensembles of the same models, predicted",
        "larch50@224",
    ):
        assert wanted in text
    assert "free accuracy" in text


def test_marks_of_accuracy_are_where_they_say(ask) -> None:
    """A mark at 77.5 % written as 78 % would be half a point off."""
    _, info = ask()
    figure = _figure(info)
    for axes in figure.axes:
        figure.draw_without_rendering()
        places = axes.get_yticks()
        for place, label in zip(places, axes.get_yticklabels(), strict=True):
            assert float(label.get_text().removesuffix("%")) == pytest.approx(100 * place)


def test_without_recipes_there_is_no_second_panel(ask) -> None:
    _, info = ask(only=("mlp",))
    assert info.arrows == ()
    assert "free accuracy" not in draw_published_svg(info)


def test_the_png_is_an_image_and_files_are_whole(ask, tmp_path) -> None:
    _, info = ask()
    with Image.open(io.BytesIO(draw_published_png(info))) as image:
        assert (image.format, image.width) == ("PNG", 1680)
        assert len(image.convert("RGB").getcolors(1_000_000)) > 20
    for name in ("front.png", "front.svg"):
        write_published_figure(tmp_path / name, info)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["front.png", "front.svg"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("front.pdf", "ends in .svg or .png; got 'front.pdf'"), ("no/front.svg", "no folder")],
)
def test_what_cannot_be_written_is_refused(ask, tmp_path, name, wanted) -> None:
    with pytest.raises(UsageError, match=wanted):
        write_published_figure(tmp_path / name, ask()[1])

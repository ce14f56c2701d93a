"""Designs that name their members' recipes, built and compared where the store holds several recipes."""

import json

import pytest

from explorer.store import Store

OTHER = ("train", "wrn10-0.125", "--dataset", "digits", "--seeds", "0", "--epochs")


@pytest.fixture(scope="module")
def two_recipes(explorer, tmp_path_factory):
    """One member of one recipe; of another more, a snapshot run, so that fronts are of that one."""
    store = tmp_path_factory.mktemp("recipes") / "store"
    assert explorer(*OTHER, 1, "--store", store).code == 0
    assert explorer(*OTHER, 2, "--snapshots", 2, "--store", store).code == 0
    with Store.open(store, create=False) as opened:
        plain, *snapshots = sorted(
            (record.member for record in opened.members("digits")), key=lambda m: "snapshot" in m.recipe
        )
    return store, plain, sorted(snapshots)


@pytest.mark.parametrize("mixed", [False, True])
def test_members_of_any_recipe_are_built_and_scored(explorer_here, two_recipes, tmp_path, mixed) -> None:
    store, plain, (first, second) = two_recipes
    design = f"mean({first}, {plain if mixed else second})"
    out = tmp_path / "out"

    done = explorer_here("build", design, "--dataset", "digits", "--out", out, "--store", store)

    assert done.code == 0, done.err
    checked = explorer_here("verify", out, "--store", store)
    assert checked.code == 0, checked.err


def test_a_member_without_its_recipe_is_scored_as_the_one_that_was_built(
    explorer_here, two_recipes, tmp_path
) -> None:
    store, plain, (first, _) = two_recipes
    short = str(plain).replace(f"~{plain.recipe}", "")
    design = f"{first} -> [p>=0.5] {short}"
    out = tmp_path / "out"

    done = explorer_here("build", design, "--dataset", "digits", "--out", out, "--store", store)

    assert done.code == 0, done.err
    with Store.open(store, create=False) as opened:
        (scored,) = (found for found in opened.evaluations("digits") if found.design == design)
    assert scored.document["design"] == design
    members = json.loads((out / "design.json").read_text())["members"]
    assert {one["member"] for one in members} == {str(first), str(plain)}


def test_a_recipe_is_known_by_its_name(explorer_here, two_recipes, tmp_path) -> None:
    store, plain, _ = two_recipes
    short = str(plain).replace(f"~{plain.recipe}", "")
    out, recipe = tmp_path / "out", plain.recipe.rpartition("-")[0]

    done = explorer_here(
        "build", short, "--dataset", "digits", "--recipe", recipe, "--out", out, "--store", store
    )

    assert done.code == 0, done.err
    (member,) = json.loads((out / "design.json").read_text())["members"]
    assert member["member"] == str(plain)


def test_what_cannot_be_scored_leaves_no_file(explorer_here, two_recipes, tmp_path) -> None:
    store, plain, _ = two_recipes
    bundle, bare, out = tmp_path / "bundle.zip", tmp_path / "bare", tmp_path / "out"
    assert explorer_here("db", "export", bundle, "--no-costs", "--store", store).code == 0
    assert explorer_here("db", "ingest", bundle, "--store", bare).code == 0

    done = explorer_here("build", plain, "--dataset", "digits", "--out", out, "--store", bare)

    assert done.code == 2
    assert "macs" in done.error_line
    assert not out.exists()


def test_compared_designs_bring_their_recipes(explorer_here, two_recipes) -> None:
    store, plain, (first, second) = two_recipes
    where = ("--dataset", "digits", "--store", store, "--json")
    of_one = explorer_here("compare", first, second, *where)
    of_two = explorer_here("compare", first, plain, *where)

    assert (of_one.code, of_two.code) == (0, 0), of_one.err + of_two.err
    assert [point["design"] for point in json.loads(of_two.out)["points"]] == [str(first), str(plain)]


def test_weights_that_are_not_kept_are_not_called_misfits(explorer_here, two_recipes, tmp_path) -> None:
    store, plain, _ = two_recipes
    bundle, bare, out = tmp_path / "bundle.zip", tmp_path / "bare", tmp_path / "out"
    assert explorer_here("db", "export", bundle, "--weights", "none", "--store", store).code == 0
    assert explorer_here("db", "ingest", bundle, "--store", bare).code == 0

    done = explorer_here("build", plain, "--dataset", "digits", "--out", out, "--store", bare)

    assert done.code == 2
    assert done.error_line.startswith(f"explorer: the weights of {plain} (digits) are not in this store")
    assert not out.exists()

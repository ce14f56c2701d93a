import json


def test_claims_of_a_system(explorer_here) -> None:
    done = explorer_here("claims", "dpn", "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document["schema_version"] == 1
    claims = {claim["id"]: claim for claim in document["claims"]}
    assert {"dpn-size", "dpn-compute"} <= claims.keys()
    assert {claim["system"] for claim in claims.values()} == {"dpn"}
    size = claims["dpn-size"]
    assert (size["verdict"], size["published"], size["found"]) == (
        "holds",
        "26 % smaller",
        "\N{MINUS SIGN}26.2 %",
    )
    (check,) = size["checks"]
    assert check["parts"] == {"timm:dpn98@224": 61570728.0, "timm:resnext101_64x4d@224": 83455272.0}
    assert check["basis"] == "counted"


def test_details_say_where_figures_come_from(explorer_here) -> None:
    done = explorer_here("claims", "csp-speed")
    assert done.code == 0
    assert "CSPDarknet53 against Darknet53 at 256 px, on an RTX 4090" in done.out
    assert "found 0.919x, wanted at least 1.00x; cited" in done.out
    assert "timm results/benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv" in done.out


def test_bad_input(explorer_here) -> None:
    done = explorer_here("claims", "dpm")
    assert done.code == 2
    assert "unknown claim or system with claims 'dpm'; did you mean dpn" in done.err
    done = explorer_here("claims", "--keep", "x.json")
    assert done.code == 2
    assert "--keep is for what --measure measures" in done.err


def test_verdicts_are_chosen(explorer_here) -> None:
    done = explorer_here("claims", "dpn-size", "dpn-training-speed", "--verdict", "fails", "--json")
    assert done.code == 0
    assert [claim["id"] for claim in json.loads(done.out)["claims"]] == ["dpn-training-speed"]


def test_what_cannot_be_checked_says_why(explorer_here) -> None:
    done = explorer_here("claims", "turbovit")
    assert done.code == 0
    assert "turbovit-compute: not checked" in done.out
    assert "not checked: no public definition of the network" in done.out


def test_the_form_decides_repvgg(explorer_here) -> None:
    done = explorer_here("claims", "repvgg", "--json")
    claims = json.loads(done.out)["claims"]
    assert {claim["verdict"] for claim in claims} == {"depends"}
    for claim in claims:
        merged, trained = claim["checks"][:2]
        assert (merged["outcome"], trained["outcome"]) == ("holds", "fails")
        assert merged["source"].endswith("merged")

import json
import signal
import subprocess
import sys
import time

import pytest

from explorer.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(["zoo", "scale", *arguments])
    captured = capsys.readouterr()
    return int(stopped.value.code or 0), captured.out, captured.err


def test_published_macs_and_parameters_of_b0_to_b7(capsys: pytest.CaptureFixture[str]) -> None:
    """`explorer zoo scale efficientnet --phi 0..7`: arXiv 1905.11946, Table 2."""
    code, out, _ = run(capsys, "efficientnet", "--phi", "0..7", "--json")
    rows = json.loads(out)["rows"]
    assert code == 0
    assert [row["model"] for row in rows] == [
        f"efficientnet-b{phi}@{side}" for phi, side in enumerate((224, 240, 260, 300, 380, 456, 528, 600))
    ]
    table = [(5.3, 0.39), (7.8, 0.70), (9.2, 1.0), (12, 1.8), (19, 4.2), (30, 9.9), (43, 19), (66, 37)]
    for row, (parameters, macs) in zip(rows, table, strict=True):
        assert row["published"]["parameters"]["value"] == parameters * 1e6
        assert row["published"]["macs"]["value"] == macs * 1e9
        assert row["parameters"] == pytest.approx(parameters * 1e6, rel=0.03)
        assert row["macs"] == pytest.approx(macs * 1e9, rel=0.05)


def test_text_of_phi(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "efficientnet", "--phi", "0,0.5")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split()[:3] == ["phi", "model", "width"]
    assert lines[1].split() == [
        *("0", "efficientnet-b0@224", "1", "1", "224", "5.289", "M", "5.3", "M", "-0.2%"),
        *("385.8", "M", "390", "M", "-1.1%", "0.00"),
    ]
    assert "efficientnet-phi0.5@240" in lines[2]
    assert "--rule compound" in out


def test_tinynets_from_the_tiny_formula(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "tinynet")
    assert code == 0
    assert out.count("the same") == 5
    assert "106 (106)      0.6 (0.6)  0.51 (0.51)" in out


def test_budget(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("wrn16-1", "--budget", "macs<=20M", "--rule", "width", "--rule", "depth")
    code, out, _ = run(capsys, *arguments, "--json")
    document = json.loads(out)
    assert code == 0
    assert document["budget"] == {"kind": "macs", "limit": 20e6}
    assert [choice["rule"] for choice in document["choices"]] == ["width", "depth"]
    for choice in document["choices"]:
        assert choice["network"]["macs"] <= 20e6
        assert choice["share"] == choice["network"]["macs"] / 20e6
        assert len(choice["curve"]) == 4
    text = run(capsys, *arguments)[1]
    assert "largest network within macs <= 20 M by each rule, from wrn16-1@32:" in text
    assert document["choices"][0]["network"]["model"] in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("effnet",), "unknown model 'effnet'"),
        (("timm:resnet50", "--phi", "1"), "timm has no scaling knobs"),
        (
            ("efficientnet", "--phi", "15.5"),
            "must be a number from -6 to 14, got 15.5",
        ),
        (("efficientnet", "--phi", "x"), "not a phi: 'x'"),
        (("efficientnet", "--phi", "1", "--budget", "macs<=1G"), "give --phi or --budget, not both"),
        (("efficientnet", "--rule", "width"), "--rule says which rules meet a --budget"),
        (
            ("efficientnet", "--phi", "1", "--rule", "width"),
            "--phi is of the compound rule",
        ),
        (("mlp", "--budget", "macs<=1M"), "mlp has no scaling knobs"),
        (("wrn16-1", "--budget", "latency@cpu<=1ms"), "macs or parameters, got latency@cpu"),
        (("wrn16-4", "--budget", "macs<=1k", "--rule", "depth"), "the smallest is wrn10-4@32 with"),
        (("wrn16-4", "--budget", "macs<=1k", "--rule", "taller"), "unknown rule for wide_resnet 'taller'"),
    ],
)
def test_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert err.count("explorer:") == 1


def test_interrupted() -> None:
    command = [sys.executable, "-c", "from explorer.cli import main; main()"]
    process = subprocess.Popen(
        [*command, "zoo", "scale", "efficientnet", "--phi", "-6..14"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # The first progress line comes 5 s into counting; by then nothing but counting is left to interrupt.
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("scale: ")
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1].startswith("explorer: interrupted")

from pathlib import Path

from explorer.report.writing import write_info


def test_w(front, make_advice, evidence):
    import os

    for n, a in (("unsure", make_advice()), ("sure", make_advice(0.002, 0.012, 0.021))):
        for e in ("html", "md", "json"):
            write_info(Path("/tmp/rep") / f"{n}.{e}", front=front, advice=a, evidence=evidence)
            print(n, e, os.path.getsize(f"/tmp/rep/{n}.{e}"))

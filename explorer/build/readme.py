"""What an artefact says of itself to whoever finds it."""

from collections.abc import Mapping
from typing import Any

from explorer.build.exits import extreme_thresholds
from explorer.spec import Signal

_WORDS = {
    Signal.P: "the largest probability",
    Signal.MARGIN: "the largest less the second largest probability",
    Signal.ENTROPY: "the entropy of the probabilities, in nats,",
    Signal.AGREEMENT: "the share of members whose own top class is the answer",
}


def readme_text(document: Mapping[str, Any]) -> str:
    """Return the README of an artefact from its ``design.json``; its program runs as it stands."""
    channels, height, width = document["input"]["shape"][1:]
    parts = [
        f"# {document['design']}\n",
        f"A {document['kind']} trained on `{document['dataset']}`, {len(document['classes'])} classes, "
        "in one ONNX file. Nothing but numpy and onnxruntime is needed:\n",
        "```python",
        "import numpy as np, onnxruntime as ort",
        "",
        "options = ort.SessionOptions()",
        "options.log_severity_level = 3",
        'session = ort.InferenceSession("model.onnx", options, providers=["CPUExecutionProvider"])',
        f"shape = 5, {channels}, {height}, {width}  # any number of images, [channel, height, width] each",
        "images = np.random.rand(*shape).astype(np.float32)  # colours in [0, 1]",
        'prob, label, stage, confidence = session.run(None, {"images": images})',
        "print(label, confidence)",
        "```\n",
        "| output | shape | meaning |\n|---|---|---|",
        "| `prob` | float32 [n, class] | class probabilities; classes in the order of `design.json` |",
        "| `label` | int64 [n] | most probable class |",
        "| `stage` | int64 [n] | stage that answered, from 0 |",
        "| `confidence` | float32 [n] | largest probability |",
    ]
    if document["thresholds"]:
        name, value = next(iter(document["thresholds"].items()))
        parts += [
            "\nAn example leaves the cascade at the first stage that is sure enough. "
            "Thresholds are inputs with defaults, so cost and accuracy move without a new file:\n",
            "| input | default | a stage is left when | every example leaves at | none leaves at |\n"
            "|---|---|---|---|---|",
            *map(_exit_row, document["thresholds"].items(), map(Signal, document["signals"])),
            "",
            "```python",
            f'session.run(None, {{"images": images, "{name}": np.array({value!r}, np.float32)}})',
            "```",
        ]
        if any(document["joined"]):
            stages = ", ".join(str(number) for number, joined in enumerate(document["joined"]) if joined)
            parts.append(
                f"\nWhat ran before stays in the average at stage {stages}: `prob` is the mean over all "
                "members, back to the last stage that is not one of these."
            )
    if document["expected"]:
        accuracy = document["expected"]["accuracy"]
        parts.append(
            f"\nExpected accuracy {accuracy['value']:.4f} (95 % interval {accuracy['low']:.4f} to "
            f"{accuracy['high']:.4f}) on {accuracy['n']} examples that were not used to choose the design."
        )
    parts.append("\nCheck this folder against the store it was built from: `explorer verify .`\n")
    return "\n".join(parts)


def _exit_row(threshold: tuple[str, float], signal: Signal) -> str:
    """Return a line of the table of exits."""
    name, value = threshold
    side = "at most" if signal is Signal.ENTROPY else "at least"
    every, none = extreme_thresholds(signal)
    return f"| `{name}` | {value!r} | {_WORDS[signal]} is {side} it | {every:g} | {none:g} |"

"""What an artefact says of itself to whoever finds it."""

from collections.abc import Mapping
from typing import Any


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
            "\nAn example leaves the cascade at the first stage whose confidence reaches the threshold. "
            "Thresholds are inputs with defaults, so cost and accuracy move without a new file: "
            "0 lets every example leave, 1.1 none:\n",
            "```python",
            f'session.run(None, {{"images": images, "{name}": np.array({value!r}, np.float32)}})',
            "```",
        ]
    if document["expected"]:
        accuracy = document["expected"]["accuracy"]
        parts.append(
            f"\nExpected accuracy {accuracy['value']:.4f} (95 % interval {accuracy['low']:.4f} to "
            f"{accuracy['high']:.4f}) on {accuracy['n']} examples that were not used to choose the design."
        )
    parts.append("\nCheck this folder against the store it was built from: `explorer verify .`\n")
    return "\n".join(parts)

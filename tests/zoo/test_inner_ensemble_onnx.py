import numpy as np
import onnxruntime
import pytest
import torch

import zoo
from explorer.build.onnx_export import export_member


@pytest.mark.parametrize(
    "name", ["wrn10-0.25+mimo2", "wrn10-0.25+batch3", "wrn10-0.5+packed4", "wrn10-0.25+trunk3"]
)
def test_onnx_runtime_answers_as_torch_does(name: str) -> None:
    """Two members of one architecture, several batch sizes, with the classifier's preprocessing."""
    generator = torch.Generator().manual_seed(5)
    for seed in (0, 1):
        torch.manual_seed(seed)
        model = zoo.build_classifier(name, channels=1, classes=7, native=8, mean=[0.3], std=[0.4])
        for _ in range(10):
            model(torch.rand(32, 1, 8, 8, generator=generator))
        exported = export_member(model, (1, 8, 8), architecture=("inner", name))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(exported.SerializeToString(), options)

        for examples in (1, 2, 9):
            images = torch.rand(examples, 1, 8, 8, generator=generator)
            with torch.no_grad():
                wanted = model(images).numpy()
            given = session.run(["logits"], {"images": images.numpy()})[0]
            np.testing.assert_allclose(given, wanted, rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(np.exp(given).sum(1), 1.0, rtol=1e-5)

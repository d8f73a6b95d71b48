"""The network in ONNX Runtime, on the CPU."""

from __future__ import annotations

import io
import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from alexnet.data.transforms.augment import Normalizer
from alexnet.errors import UserError
from alexnet.evaluation.classifier import Classifier
from alexnet.models import ConvNet
from alexnet.serving.engine import Floats, Pixels, centre_cut

_LARGEST_DIFFERENCE = 1e-3  # of a score; fp32 in another order differs by less
_CHECKED = 4  # images, of noise; two more than the batch that the graph is traced with


class _WithFeatures(nn.Module):
    """A network's scores [N, K], and what its last layer is given, [N, D]."""

    def __init__(self, model: ConvNet) -> None:
        super().__init__()
        self.features, self.hidden = model.features, nn.Sequential(*list(model.classifier)[:-1])
        self.last = list(model.classifier)[-1]

    def forward(self, x_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        features_ND = self.hidden(self.features(x_NCHW).flatten(1))
        return self.last(features_ND), features_ND


class OnnxBackend:
    """A network of ours as an ONNX graph, made when it is loaded and compared with torch.

    Args:
        classifier: the network, on the CPU.
        threads: ONNX Runtime's; None: all cores.

    Raises:
        UserError: the packages are missing, the network cannot be exported, or it answers otherwise than torch.
    """

    def __init__(self, classifier: Classifier, threads: int | None) -> None:
        missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]
        if missing:
            raise UserError(f"--backend onnx takes {', '.join(missing)}: pip install 'alexnet[export,serve]'")
        onnxruntime: Any = import_module("onnxruntime")
        if not isinstance(classifier.model, ConvNet):
            raise UserError("--backend onnx takes a network of alexnet's own: drop it")
        if classifier.runtime.device.type != "cpu":
            raise UserError("--backend onnx computes on the CPU: add --device cpu")
        self._how = classifier.card.preprocessing
        self._normalize = Normalizer(self._how, torch.device("cpu"), torch.float32)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        model = _WithFeatures(classifier.model).eval()
        graph = _export(model, self._how.in_channels, self._how.image_px)
        self._session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._check(model)

    def __call__(self, x_NHWC: Pixels) -> tuple[Floats, Floats | None]:
        """See `engine.Backend`."""
        with torch.inference_mode():
            x_NCHW = self._normalize(torch.from_numpy(centre_cut(x_NHWC, self._how))).contiguous().numpy()
        scores_NK, features_ND = self._session.run(None, {"x": x_NCHW})
        return scores_NK, features_ND

    def _check(self, model: nn.Module) -> None:
        side, C = self._how.image_px, self._how.in_channels
        x_NCHW = torch.randn(_CHECKED, C, side, side, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            expected, _ = model(x_NCHW)
        got, _ = self._session.run(None, {"x": x_NCHW.numpy()})
        difference = float(np.abs(got - expected.numpy()).max())
        if not difference <= _LARGEST_DIFFERENCE:
            raise UserError(
                f"in ONNX Runtime the scores differ by {difference:.2g} from torch's: use --backend torch"
            )


def _export(model: nn.Module, in_channels: int, image_px: int) -> bytes:
    example = torch.zeros(2, in_channels, image_px, image_px)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, of its dependencies
        program: Any = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            verbose=False,
            input_names=["x"],
            output_names=["scores", "features"],
            dynamic_shapes=({0: torch.export.Dim("N")},),
        )
    graph = io.BytesIO()
    program.save(graph)
    return graph.getvalue()

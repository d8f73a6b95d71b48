"""The network in ONNX Runtime, on the CPU."""

from __future__ import annotations

import copy
import io
import warnings
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
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

    def __init__(self, model: ConvNet, in_channels: int, image_px: int) -> None:
        super().__init__()
        copied = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
        self.features, self.hidden = copied.features, nn.Sequential(*list(copied.classifier)[:-1])
        self.last = list(copied.classifier)[-1]
        _fix_pools(self.features, in_channels, image_px)

    def forward(self, x_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        features_ND = self.hidden(self.features(x_NCHW).flatten(1))
        return self.last(features_ND), features_ND


def _fix_pools(features: nn.Module, in_channels: int, image_px: int) -> None:
    """Write adaptive pools, which the exporter does not know, as the pools that they are on maps of this size."""
    x_NCHW = torch.zeros(2, in_channels, image_px, image_px)
    with torch.inference_mode():
        for name, layer in list(features.named_children()):
            given_px = x_NCHW.shape[-1]
            x_NCHW = layer(x_NCHW)
            if not isinstance(layer, nn.AdaptiveMaxPool2d | nn.AdaptiveAvgPool2d):
                continue
            setattr(features, name, _plain_pool(layer, given_px, x_NCHW.shape[-1]))


def _plain_pool(layer: nn.Module, side_px: int, pooled_px: int) -> nn.Module:
    """The pool with windows of one size and stride that equals an adaptive one from `side_px` to `pooled_px`."""
    begins = [i * side_px // pooled_px for i in range(pooled_px)]
    ends = [-(-(i + 1) * side_px // pooled_px) for i in range(pooled_px)]
    kernels = {end - begin for begin, end in zip(begins, ends, strict=True)}
    strides = {after - before for before, after in pairwise(begins)} or {1}
    if len(kernels) > 1 or len(strides) > 1:
        raise UserError(
            f"--backend onnx takes no adaptive pool from {side_px} to {pooled_px} px: use --backend torch"
        )
    kind = nn.MaxPool2d if isinstance(layer, nn.AdaptiveMaxPool2d) else nn.AvgPool2d
    return kind(kernels.pop(), strides.pop())


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
        model = _WithFeatures(classifier.model, self._how.in_channels, self._how.image_px).eval()
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
        try:
            program: Any = torch.onnx.export(
                model,
                (example,),
                dynamo=True,
                verbose=False,
                input_names=["x"],
                output_names=["scores", "features"],
                dynamic_shapes=({0: torch.export.Dim("N")},),
            )
        except Exception as error:  # the exporter's own classes are private
            reason = str(error).partition("\n")[0]
            raise UserError(f"the network cannot be written as ONNX: {reason}; use --backend torch") from error
    graph = io.BytesIO()
    program.save(graph)
    return graph.getvalue()

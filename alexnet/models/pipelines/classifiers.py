"""What decides on features: nearest neighbours, and the kernel before a linear layer.

Shapes: N images, D features, R reference images, M landmarks, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_CHUNK_FLOATS = 1 << 24


class NearestNeighbors(nn.Module):
    """Votes of the `neighbors` nearest of R kept images, by the length of the difference (Fix and Hodges 1951).

    Args:
        kept: R.
        features: D.
        num_classes: K.
        neighbors: votes; 1 or more, no more than R.
    """

    def __init__(self, kept: int, features: int, num_classes: int, neighbors: int) -> None:
        super().__init__()
        self.num_classes, self.neighbors = num_classes, neighbors
        self.kept_RD: Tensor
        self.labels_R: Tensor
        self.register_buffer("kept_RD", torch.zeros(kept, features, dtype=torch.uint8))
        self.register_buffer("labels_R", torch.zeros(kept, dtype=torch.int64))

    def forward(self, x_ND: Tensor) -> Tensor:
        """uint8 [N, D] to log-probabilities [N, K]: shares of the votes and of one more that all classes share."""
        labels_NV = self.labels_R[nearest(x_ND, self.kept_RD, self.neighbors)]
        votes_NK = torch.zeros(len(x_ND), self.num_classes, device=x_ND.device)
        votes_NK.scatter_add_(1, labels_NV, torch.ones((), device=x_ND.device).expand_as(labels_NV))
        return ((votes_NK + 1 / self.num_classes) / (self.neighbors + 1)).log_()


def nearest(x_ND: Tensor, kept_RD: Tensor, count: int) -> Tensor:
    """The `count` rows of `kept_RD` nearest to each row of `x_ND`, uint8: positions [N, count], nearest first."""
    x = x_ND.float()
    step = max(count, _CHUNK_FLOATS // max(len(x), x.shape[1]))
    best_d = x.new_empty(len(x), 0)
    best_i = torch.empty(len(x), 0, dtype=torch.int64, device=x.device)
    for start in range(0, len(kept_RD), step):
        part = kept_RD[start : start + step].float()
        # Whole numbers below 2**24 for up to 258 features, rounded beyond; |x|**2 is the same for all rows.
        d = torch.addmm(part.square().sum(1), x, part.T, alpha=-2)
        index = torch.arange(start, start + len(part), device=x.device).expand(len(x), -1)
        best_d, order = torch.cat([best_d, d], 1).topk(min(count, best_d.shape[1] + len(part)), largest=False)
        best_i = torch.cat([best_i, index], 1).gather(1, order)
    return best_i


class RbfKernel(nn.Module):
    """exp(-gamma * |x - landmark|**2) for M landmarks: the images of Nystroem's method (Williams and Seeger 2001).

    Args:
        landmarks: M.
        features: D.
        gamma: above 0.
    """

    def __init__(self, landmarks: int, features: int, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma
        self.landmarks_MD = nn.Parameter(torch.zeros(landmarks, features), requires_grad=False)

    def forward(self, x_ND: Tensor) -> Tensor:
        """[N, D] to [N, M], 0..1."""
        return rbf_kernel(x_ND, self.landmarks_MD, self.gamma)


def rbf_kernel(x_ND: Tensor, y_MD: Tensor, gamma: float) -> Tensor:
    """exp(-gamma * |x - y|**2), [N, M]."""
    d_NM = torch.addmm(y_MD.square().sum(1), x_ND, y_MD.T, alpha=-2).add_(x_ND.square().sum(1, keepdim=True))
    return d_NM.clamp_(min=0).mul_(-gamma).exp_()

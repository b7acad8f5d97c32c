"""Precision and recall that mind identity: iPrecision and iRecall (paper 004, §4, Eq. 10–12; pseudo-code in 001, B.1).

A restored face counts where it lies in the neighbourhood of its own original: no farther from it than the original's
k-th nearest other original (k = 4, as in the paper). iRecall swaps the two sets. Without identity, any original's
neighbourhood will do: precision and recall of Kynkäänniemi et al., NeurIPS 2019.

The paper takes FaceNet's or Inception's features; here they are MobileFaceNet's embeddings (128 numbers, unit length),
the distance is Euclidean, and each held-out face is its own identity, since the set shows every person once. A
neighbourhood among 139 faces is wider than one among the paper's 3,000: compare with one another, not with the paper.

Corrected in Algorithm 1 of 001 (line numbers are its own):
- l. 12–13: `neighbor` returns k+1 columns, the first of which is the face itself at distance 0; l. 18 compares with all
  of them, where the comment has N×k. The face itself is no neighbour of its own and is left out (also in Eq. 10, whose
  NN_k(e', E) would find e' in E).
- l. 18: `dist` has one axis (N), so `dist[:, :, None]` cannot be; it is `dist[:, None]`.
- l. 20, 22: `id(e_g)` is the face's identity, not Python's id; and its N answers need an axis to meet N×k ones.
- l. 23: `eg_dist_in` is nowhere defined: `eg_in` is meant. l. 24: the result has k values, as in l. 23, not 1.
- l. 29–30 average `pred` and `ipred`, the last face's alone: the lists `precision` and `iprecision` are meant.
- Columns are cumulative, so only the last one, k, is the figure that the paper reports. gn_dist, which l. 12 computes
  and nothing uses, is what recall needs; the listing leaves recall out.
"""

import torch
from torch import Tensor

K = 4


def radii(features: Tensor, k: int = K) -> Tensor:
    """Distance of each feature (N×D) to its k-th nearest other one (N). ValueError if there are no k others."""
    if len(features) <= k:
        raise ValueError(f"a neighbourhood of {k} needs more than {k} faces, not {len(features)}")
    distances = torch.cdist(features.double(), features.double())
    distances.fill_diagonal_(torch.inf)
    return distances.kthvalue(k, dim=1).values


def predictions(queries: Tensor, references: Tensor, k: int = K) -> tuple[Tensor, Tensor]:
    """Whether each query (N×D) lies in any reference's neighbourhood, and whether in its own one's (Eq. 10; N each).

    Query i and reference i show the same person.
    """
    distances = torch.cdist(queries.double(), references.double())
    within = distances <= radii(references, k)[None, :]
    return within.any(1).float(), within.diagonal().float()


def identity_scores(restored: Tensor, real: Tensor, k: int = K) -> dict[str, Tensor]:
    """Per face (N) of two paired sets of embeddings (N×D): precision, recall, iprecision and irecall, each 0 or 1."""
    precision, own_precision = predictions(restored, real, k)
    recall, own_recall = predictions(real, restored, k)
    return {"precision": precision, "recall": recall, "iprecision": own_precision, "irecall": own_recall}

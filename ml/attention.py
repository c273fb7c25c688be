"""Multi-head self-attention whose output is pooled over the tokens, without the work that pooling makes superfluous."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["PooledSelfAttention", "PooledUniformly"]


class PooledSelfAttention(keras.layers.Layer):  # type: ignore[misc]
    """The mean over all tokens of multi-head self-attention's outputs (Vaswani et al., 2017, section 3.2.2).

    After the softmax everything is linear, and the mean over the queries may be taken first. With ``P`` a head's
    attention [queries, keys], ``X`` the tokens, ``V`` and ``O`` the projections of values and outputs,

        mean over queries of (P X V O) = (mean over queries of P) X V O,

    so each head averages the tokens once, and projects one vector an image instead of one a token. What is left to
    compute for every token are queries and keys. Keys have no bias: it would add the same to all scores of a query,
    which the softmax takes out again.

    Args:
        heads: number of heads.
        key_dim: size of a query, a key and a value in each.
    """

    def __init__(self, heads: int, key_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads, self.key_dim = heads, key_dim

    def build(self, input_shape: tuple[int | None, int, int]) -> None:
        """Make the weights for tokens [N, T, C]."""
        channels, inner = input_shape[-1], self.heads * self.key_dim
        self._query = self.add_weight(name="query_kernel", shape=(channels, inner))
        self._query_bias = self.add_weight(name="query_bias", shape=(inner,), initializer="zeros")
        self._key = self.add_weight(name="key_kernel", shape=(channels, inner))
        self._value = self.add_weight(name="value_kernel", shape=(channels, inner))
        self._value_bias = self.add_weight(name="value_bias", shape=(inner,), initializer="zeros")
        self._output = self.add_weight(name="output_kernel", shape=(inner, channels))
        self._output_bias = self.add_weight(name="output_bias", shape=(channels,), initializer="zeros")

    def call(self, tokens: Any) -> tuple[Any, Any]:
        """Attend.

        Args:
            tokens: [N, T, C].

        Returns:
            The mean output [N, C], and how much attention each token draws, float32 [N, T]: the scores averaged over
            heads and queries, which sum to 1 over each image.
        """
        count, channels = tokens.shape[1:]
        # One product for queries and keys: the tokens are read once.
        both = ops.matmul(ops.reshape(tokens, (-1, channels)), ops.concatenate([self._query, self._key], axis=1))
        queries, keys = ops.split(both, 2, axis=1)
        queries = (queries + self._query_bias) * self.key_dim**-0.5
        scores = ops.matmul(self._by_head(queries, count), ops.transpose(self._by_head(keys, count), (0, 1, 3, 2)))
        drawn = ops.mean(ops.softmax(ops.cast(scores, "float32")), axis=2)  # [N, heads, T]
        averaged = ops.matmul(ops.cast(drawn, tokens.dtype), tokens)  # [N, heads, C]
        kernels = ops.transpose(ops.reshape(self._value, (channels, self.heads, self.key_dim)), (1, 0, 2))
        values = ops.transpose(ops.matmul(ops.transpose(averaged, (1, 0, 2)), kernels), (1, 0, 2))
        values = ops.reshape(values, (-1, self.heads * self.key_dim)) + self._value_bias
        return ops.matmul(values, self._output) + self._output_bias, ops.mean(drawn, axis=1)

    def compute_output_spec(self, tokens: Any) -> tuple[Any, Any]:
        """Shapes and types of what :meth:`call` returns."""
        images, count, channels = tokens.shape
        return (
            keras.KerasTensor((images, channels), dtype=self.compute_dtype),
            keras.KerasTensor((images, count), dtype="float32"),
        )

    def _by_head(self, projected: Any, count: int) -> Any:
        """[N * T, heads * D] to [N, heads, T, D]."""
        return ops.transpose(ops.reshape(projected, (-1, count, self.heads, self.key_dim)), (0, 2, 1, 3))


class PooledUniformly(keras.layers.Layer):  # type: ignore[misc]
    """The mean over all tokens, each with the same attention: what :class:`PooledSelfAttention` is held against."""

    def call(self, tokens: Any) -> tuple[Any, Any]:
        """Pool tokens [N, T, C]: their mean [N, C], and 1/T for each token, float32 [N, T]."""
        alike = ops.ones_like(tokens[..., 0], dtype="float32")
        return ops.mean(tokens, axis=1), alike / tokens.shape[1]

    def compute_output_spec(self, tokens: Any) -> tuple[Any, Any]:
        """Shapes and types of what :meth:`call` returns."""
        images, count, channels = tokens.shape
        return (
            keras.KerasTensor((images, channels), dtype=self.compute_dtype),
            keras.KerasTensor((images, count), dtype="float32"),
        )

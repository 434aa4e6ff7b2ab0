"""Activation functions by the name that a bundle stores."""

from torch import nn

from visto.errors import UsageError

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def activation(name: str) -> nn.Module:
    """A new activation module. Raises UsageError for a name that is not in the table."""
    if name not in ACTIVATIONS:
        raise UsageError(f"no activation {name!r}", expected=f"one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()

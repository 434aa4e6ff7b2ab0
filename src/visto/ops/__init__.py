"""Pure functions on tensors, and from tensors to pictures."""

"""Of an exported graph that takes one step of a sequence: its input, and the state that goes in and comes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visto.bundle.manifest import as_object
from visto.errors import ModelError

STEP = "step"  # the input of a graph over series; over clips it is IMAGES, one frame of any size

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepForm:
    """Of a clip each ``every``-th frame is looked at, of a series (1) each step, of ``features`` numbers (0: a clip's).

    ``state`` are the shapes of the state's tensors, float32, which begin as zeros. Raises ModelError.
    """

    every: int
    features: int
    state: tuple[Shape, ...]

    def __post_init__(self) -> None:
        sides = [side for shape in self.state for side in shape]
        whole = all(isinstance(k, int) and not isinstance(k, bool) for k in (self.every, self.features, *sides))
        if not whole or min(self.every, *sides, 1) < 1 or self.features < 0 or not self.state:
            raise ModelError(
                "the manifest of an export is not valid: its stream", expected="whole numbers", hint="export it again"
            )

    @property
    def names(self) -> list[str]:
        """Of the inputs that take the state."""
        return [f"state_{k}" for k in range(len(self.state))]

    @property
    def next_names(self) -> list[str]:
        """Of the outputs that give the state after the step."""
        return [f"next_{name}" for name in self.names]

    def to_json(self) -> dict[str, Any]:
        state = [
            {"input": name, "output": after, "type": "float32", "shape": list(shape)}
            for name, after, shape in zip(self.names, self.next_names, self.state, strict=True)
        ]
        return {"every": self.every, "features": self.features, "begins": "zeros", "state": state}

    @classmethod
    def from_json(cls, content: object) -> "StepForm":
        found = as_object(content, {"every", "features", "begins", "state"}, "stream")
        if not isinstance(found["state"], list):
            raise ModelError("the manifest of an export is not valid: its state is no list", hint="export it again")
        shapes: list[Shape] = []
        for one in found["state"]:
            value: Mapping[str, Any] = as_object(one, {"input", "output", "type", "shape"}, "state")
            shapes.append(tuple(value["shape"]) if isinstance(value["shape"], list) else ())
        return cls(every=found["every"], features=found["features"], state=tuple(shapes))

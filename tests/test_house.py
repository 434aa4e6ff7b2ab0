"""The house drawn in the README is the house on disk, and what may never be written is not."""

import ast
import re
from pathlib import Path

import visto

SOURCE = Path(visto.__file__).parent
README = Path(__file__).parent.parent / "README.md"


def test_the_readme_draws_the_house_as_it_is() -> None:
    drawing = README.read_text(encoding="utf-8").split("src/visto/\n", 1)[1].split("\ntests/", 1)[0]
    drawn = set(re.findall(r"^  (\w+)/", drawing, re.M)) | set(re.findall(r"(\w+)\.py", drawing))
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    files = {path.stem for path in SOURCE.glob("*.py") if not path.stem.startswith("__")}
    assert drawn == folders | files


def test_weights_are_never_unpickled() -> None:
    for path in SOURCE.rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        for call in calls:
            if ast.unparse(call.func) == "torch.load":
                safe = {word.arg: ast.unparse(word.value) for word in call.keywords}.get("weights_only")
                assert safe == "True", f"{path}: {ast.unparse(call)}"


def test_no_file_and_no_folder_is_too_full() -> None:
    assert not [path for path in SOURCE.rglob("*.py") if len(path.read_text(encoding="utf-8").splitlines()) > 400]
    assert not [path for path in SOURCE.rglob("*.py") if path.stem in {"utils", "common", "helpers", "misc"}]

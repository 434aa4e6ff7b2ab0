"""How the model was made, and how to run it."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visto.bundle import Bundle
from visto.models.logistic import Linear
from visto.models.second_look import in_words
from visto.models.trees import Trees
from visto.quantities import frames_words
from visto.report.fitted import Fitted, sees_words
from visto.report.judged import Judged
from visto.report.words import counted, shown, spoken_of

_RECIPE_LIMIT = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """Rows of (what, how, whether it is code), the whole recipe as JSON, and (what for, commands) to run it."""

    rows: list[tuple[str, str, bool]]
    recipe: str
    commands: list[tuple[str, str]]


def making(bundle: Bundle, fitted: Fitted | None, looked: Judged | None) -> Making:
    """``fitted`` is None for a model that learnt step by step, ``looked`` for one that foretells a series."""
    text = json.dumps(dict(bundle.manifest.recipe), indent=2, ensure_ascii=False)
    lines = [shown(line, 400) for line in text.split("\n")]
    text = "\n".join(lines)
    return Making(
        rows=_rows(bundle, fitted, looked.noun if looked else "window"),
        recipe=text if len(text) <= _RECIPE_LIMIT else text[:_RECIPE_LIMIT] + "\n… the rest is in manifest.json",
        commands=_series_commands(bundle) if looked is None else _commands_of(bundle, looked),
    )


def made_at(bundle: Bundle) -> str:
    """The day and minute, in UTC, as the manifest says."""
    return bundle.manifest.created[:16].replace("T", " ") + " UTC"


def weights_count(bundle: Bundle) -> int:
    return sum(tensor.numel() for tensor in bundle.weights.values())


def input_words(bundle: Bundle) -> str:
    """Size and colour of what the model sees; empty where the preprocessing does not say."""
    arguments = bundle.manifest.preprocess.arguments
    if "size" not in arguments or "channels" not in arguments:
        return ""
    if not arguments["size"]:
        return f"{counted(arguments['channels'], 'number')} a step"
    size = "×".join(str(side) for side in reversed(arguments["size"]))
    frames = f"{frames_words(arguments['every'])} at " if arguments.get("every") else ""
    return f"{frames}{size} pixels, {'grey' if arguments['channels'] == 1 else 'colour'}"


def _rows(bundle: Bundle, fitted: Fitted | None, noun: str) -> list[tuple[str, str, bool]]:
    manifest = bundle.manifest
    recipe, data = manifest.recipe, manifest.data
    parent = data.get("parent") or recipe.get("parent")
    weights = manifest.files.get("weights.safetensors")
    rows: list[tuple[str, object, bool]] = [
        ("Model", f"{in_words(manifest.model)}, {_size(bundle, fitted)}", False),
        ("Input", input_words(bundle), False),
        *(_by_steps(recipe, noun) if fitted is None else _at_once(recipe, fitted)),
        ("Chosen by", _chosen(recipe), False),
        ("Data", f"{data.get('name', '')}, read as {data.get('format', '')}", False),
        ("Data fingerprint", data.get("fingerprint", ""), True),
        ("Made from (parent)", parent or "", True),
        ("Versions", ", ".join(f"{name} {version}" for name, version in manifest.versions.items()), False),
        ("Bundle digest", bundle.digest, True),
        ("Weights digest", weights.sha256 if weights else "", True),
        (
            "Holds training data",
            "yes" if manifest.holds_training_data else spoken_of(noun, "no; content hashes of its images only"),
            False,
        ),
    ]
    return [(what, shown(str(how), 400), code) for what, how, code in rows if how != ""]


def _size(bundle: Bundle, fitted: Fitted | None) -> str:
    return counted(weights_count(bundle), "weight" if fitted is None else "number")


def _by_steps(recipe: Mapping[str, Any], noun: str) -> list[tuple[str, object, bool]]:
    if recipe.get("learner") == "closed_form":
        return [("Learnt", "fitted at once, by least squares", False), ("Time", _time(recipe, "fitting"), False)]
    decisions: Mapping[str, Any] = recipe.get("decisions", {})
    return [
        ("Learnt", _learnt(recipe, decisions), False),
        *_stages(recipe),
        ("Augmentation", ", ".join(recipe.get("augmentation", [])) or "none", False),
        ("Precision", _with_reason(decisions), False),
        ("Time", spoken_of(noun, _time(recipe, "learning")), False),
        ("Ended by", recipe.get("ended", ""), False),
        ("Random seed", recipe.get("seed", ""), False),
    ]


def _stages(recipe: Mapping[str, Any]) -> list[tuple[str, object, bool]]:
    """What each stage of a model that learns in stages took, and what came of it."""
    rows: list[tuple[str, object, bool]] = []
    for stage in recipe.get("stages", ()):
        found = [f"{name} {value:,}" for name, value in stage.items() if name not in ("stage", "seconds")]
        rows.append((f"Stage: {stage['stage']}", ", ".join([f"{stage['seconds']:,} s", *found]), False))
    return rows


def _at_once(recipe: Mapping[str, Any], fitted: Fitted) -> list[tuple[str, object, bool]]:
    """Without what has no meaning there: epochs, rates, precision, and a seed where nothing is drawn by chance."""
    by_chance = (fitted.name == "svm" and isinstance(fitted.module, Linear)) or isinstance(fitted.module, Trees)
    return [
        ("Learnt", fitted_words(recipe, fitted), False),
        ("Time", _time(recipe, "features and fit" if fitted.described else "counting"), False),
        ("Random seed", recipe.get("seed", "") if by_chance else "", False),
    ]


def fitted_words(recipe: Mapping[str, Any], fitted: Fitted) -> str:
    """What became of the images all at once."""
    if fitted.name == "majority":
        return "nothing is learnt but the share of each class"
    weighted = ", each class weighing alike" if recipe.get("balance") == "weights" else ""
    if fitted.name == "knn":
        images = counted(fitted.sizes.get("images", 0), "training image")
        return f"nothing is learnt: {images} are kept, as {sees_words(fitted)}"
    return f"fitted at once by scikit-learn to {sees_words(fitted)}{weighted}"


def no_curve_words(recipe: Mapping[str, Any], fitted: Fitted | None) -> str:
    """A sentence in the place of curves, for a model that has none; nothing for others."""
    if recipe.get("stages"):
        return (
            "It learnt one part after the other, so there is no curve of the whole. "
            "What each stage took, and what came of it, is below."
        )
    if fitted is None:
        return ""
    words = fitted_words(recipe, fitted)
    return f"{words[:1].upper()}{words[1:]}. It took no steps, so there is no curve to show."


def _chosen(recipe: Mapping[str, Any]) -> str:
    ladder = recipe.get("ladder")
    words = ladder.get("words") if isinstance(ladder, Mapping) else None
    return f"a ladder: {words}" if words else ""


def _learnt(recipe: Mapping[str, Any], decisions: Mapping[str, Any]) -> str:
    parts = []
    if "only the classifier" in str(recipe.get("ended", "")):
        return "the classifier alone, fitted at once (L-BFGS) on frozen stages"
    if "epochs" in recipe:
        parts.append(f"{recipe['epochs']:g} epochs")
    if "batch_size" in recipe:
        parts.append(f"batches of {recipe['batch_size']}")
    if "optimiser" in recipe:
        parts.append(str(recipe["optimiser"]))
    rate = decisions.get("lr", recipe.get("lr"))
    if isinstance(rate, int | float):
        found = " found by a range test" if "range_test" in decisions else ""
        parts.append(f"highest learning rate {rate:.3g}{found}")
    if "schedule" in recipe:
        parts.append(f"schedule {recipe['schedule']}")
    return ", ".join(parts)


def _time(recipe: Mapping[str, Any], what: str) -> str:
    if "seconds" not in recipe:
        return ""
    waiting = f", {recipe['waiting']:.1%} of it waiting for images" if "waiting" in recipe else ""
    memory = f"; at most {recipe['peak_memory'] / 1e9:.2f} GB of memory" if "peak_memory" in recipe else ""
    return f"{recipe['seconds']:,} s of {what}{waiting}{memory}"


def _with_reason(decisions: Mapping[str, Any]) -> str:
    if "precision" not in decisions:
        return ""
    reason = decisions.get("precision_reason")
    return f"{decisions['precision']} ({reason})" if reason else str(decisions["precision"])


def _commands_of(bundle: Bundle, looked: Judged) -> list[tuple[str, str]]:
    if looked.boxes is not None:
        return _box_commands(bundle)
    return _commands(bundle) if looked.noun == "image" else _sequence_commands(bundle, looked)


def _commands(bundle: Bundle) -> list[tuple[str, str]]:
    name, python = _opened(bundle)
    python += 'answer = model.predict("photo.jpg")\nprint([model.classes[k] for k in answer.value.classes])\n'
    python += 'print(visto.evaluate(model, "photos/").figures)'
    return [
        ("What is in an image, or in each of a folder", f"visto predict {name} photo.jpg"),
        ("Judge it on images of your own, a folder a class", f"visto evaluate {name} photos/"),
        ("Check every byte of it", f"visto info {name}"),
        ("In Python", python),
    ]


def _sequence_commands(bundle: Bundle, looked: Judged) -> list[tuple[str, str]]:
    name, python = _opened(bundle)
    clips, streams = looked.noun == "clip", not bundle.manifest.model.arguments.get("bidirectional")
    found = []
    if clips:
        found.append(("What each clip of a folder is", f"visto predict {name} clips/"))
        python += 'answer = model.predict("clip.mp4")\nprint(model.classes[answer.value.index])\n'
    if clips and streams:
        found.append(("What it would say after every frame", f"visto predict {name} clip.mp4 --stream"))
    if streams:
        python += f"for seen in model.stream({'frames' if clips else 'steps'}):  # arrays, as they come\n"
        python += "    print(seen.number, model.classes[seen.answer.value.index])\n"
    python += f'print(visto.evaluate(model, "{looked.nouns}/").figures)'
    return [
        *found,
        (f"Judge it on {looked.nouns} of your own", f"visto evaluate {name} {looked.nouns}/"),
        ("Check every byte of it", f"visto info {name}"),
        ("In Python", python),
    ]


def _box_commands(bundle: Bundle) -> list[tuple[str, str]]:
    name, python = _opened(bundle)
    python += 'found = model.predict("photo.jpg").value\n'
    python += "for k, score, box in zip(found.labels.tolist(), found.scores.tolist(), found.xyxy.tolist()):\n"
    python += '    print(model.classes[k], score, box)\nprint(visto.evaluate(model, "photos/").figures)'
    return [
        ("What is where in an image, or in each of a folder", f"visto predict {name} photo.jpg"),
        ("The same, drawn on the pictures", f"visto predict {name} photos/ --draw drawn/"),
        ("More boxes or fewer: those from a score on", f"visto predict {name} photo.jpg --threshold 0.3"),
        ("Judge it on images of your own, with boxes as COCO, YOLO or Pascal VOC", f"visto evaluate {name} photos/"),
        ("Check every byte of it", f"visto info {name}"),
        ("In Python", python),
    ]


def _series_commands(bundle: Bundle) -> list[tuple[str, str]]:
    name, python = _opened(bundle)
    python += 'answer = model.predict("recent.csv")\nprint(answer.value.values)\n'
    python += 'print(visto.evaluate(model, "more.csv").figures)'
    return [
        ("What comes after the last row of a file", f"visto predict {name} recent.csv"),
        ("Judge it on rows that it has not seen", f"visto evaluate {name} more.csv"),
        ("Check every byte of it", f"visto info {name}"),
        ("In Python", python),
    ]


def _opened(bundle: Bundle) -> tuple[str, str]:
    """The bundle's name for a shell, and the Python that loads it."""
    path = "".join(c if c.isprintable() else "?" for c in bundle.path.name)
    return shlex.quote(path), f"import visto\n\nmodel = visto.load({json.dumps(path, ensure_ascii=False)})\n"

"""Data sets: one reader a file, and one line here for each. ``read`` finds the reader and gives every item a split."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visto.data.boxes_list import read_boxes_list, recognises_boxes_list
from visto.data.cifar import read_cifar, recognises_cifar
from visto.data.class_folders import read_class_folders, recognises_class_folders
from visto.data.clip_folders import read_clip_folders
from visto.data.clip_layout import recognises_clip_folders
from visto.data.coco import read_coco, recognises_coco
from visto.data.dataset import Dataset
from visto.data.digits import read_digits, recognises_digits
from visto.data.idx import read_idx, recognises_idx
from visto.data.lists import read_list, recognises_list
from visto.data.npz import read_npz, recognises_npz
from visto.data.reading import Format, read_with
from visto.data.series_file import read_series, recognises_series
from visto.data.series_lines import read_series_lines, recognises_series_lines
from visto.data.series_npz import read_series_npz, recognises_series_npz
from visto.data.series_table import read_series_table, recognises_series_table
from visto.data.voc import read_voc, recognises_voc
from visto.data.yolo_labels import read_yolo
from visto.data.yolo_layout import recognises_yolo
from visto.errors import UsageError

# In the order in which they are asked: boxes before labels, since a list of boxes names labels too; clips before
# images, since their frames are images too; series before what is known by its suffix alone, a series to foretell
# among them; class folders recognise any folder, and so come last.
FORMATS: dict[str, Format] = {
    "digits": Format(
        read=read_digits, recognises=recognises_digits, describe="the name digits: 1,797 digits of 8×8, embedded"
    ),
    "idx": Format(
        read=read_idx, recognises=recognises_idx, describe="MNIST and its family: train-images-idx3-ubyte[.gz] …"
    ),
    "cifar": Format(
        read=read_cifar, recognises=recognises_cifar, describe="CIFAR-10 and CIFAR-100, binary: data_batch_1.bin …"
    ),
    "series-npz": Format(
        read=read_series_npz,
        recognises=recognises_series_npz,
        describe="series of numbers: .npz of train_series (N×T or N×T×F), train_labels, maybe train_lengths …",
    ),
    "forecast": Format(
        read=read_series,
        recognises=recognises_series,
        describe="a series to foretell: a .csv or .tsv of numbers, a row a step; .npy, or .npz with an array series",
    ),
    "npz": Format(read=read_npz, recognises=recognises_npz, describe="MedMNIST: .npz of train_images, train_labels …"),
    "coco": Format(
        read=read_coco,
        recognises=recognises_coco,
        describe="COCO boxes: annotations/instances_train.json …, train/_annotations.coco.json …, or one .json",
    ),
    "yolo": Format(
        read=read_yolo,
        recognises=recognises_yolo,
        describe="YOLO boxes: data.yaml, or images/, labels/ and classes.txt",
    ),
    "voc": Format(
        read=read_voc,
        recognises=recognises_voc,
        describe="Pascal VOC boxes: Annotations/*.xml and JPEGImages/, or an .xml beside each image",
    ),
    "boxes-list": Format(
        read=read_boxes_list,
        recognises=recognises_boxes_list,
        describe="a .csv or .tsv of image, class, xmin, ymin, xmax, ymax (or x, y, width, height)",
    ),
    "series-lines": Format(
        read=read_series_lines,
        recognises=recognises_series_lines,
        describe="series of numbers: .jsonl of series ([[x, y], …]), label and, if wanted, id, split and group",
    ),
    "series-table": Format(
        read=read_series_table,
        recognises=recognises_series_table,
        describe="series of numbers: a .csv or .tsv, a row a step, of id, label and features, maybe time, split, group",
    ),
    "list": Format(
        read=read_list,
        recognises=recognises_list,
        describe="a .csv, .tsv or .jsonl of path (image or clip), label (a|b for several), if wanted split and group",
    ),
    "clip-folders": Format(
        read=read_clip_folders,
        recognises=recognises_clip_folders,
        describe="a folder for each class, in it clips: folders of numbered frames, moving GIF or WebP, or videos",
    ),
    "class-folders": Format(
        read=read_class_folders,
        recognises=recognises_class_folders,
        describe="a folder for each class, or train, val and test folders of them",
    ),
}


def read(
    path_or_name: str | Path, *, format: str | None = None, split_seed: int = 0, group_by: str | None = None
) -> Dataset:
    """Read a data set, its format found or named, with a split for every item.

    ``group_by`` is a regular expression that finds the group of an item in its id, or "none"; None takes the groups
    that the data has, and for clips those that their names tell. Groups stay together in a split that is drawn.

    Raises DataError for a path that does not exist, a format that no reader recognises, and whatever the reader
    refuses; UsageError for a format that is not in ``FORMATS``, and for a pattern that matches no id.
    """
    dataset = read_with(FORMATS, Path(path_or_name), format=format, split_seed=split_seed, group_by=group_by)
    if group_by is not None and not dataset.grouped_by:
        raise UsageError(
            f"--group-by {group_by!r} matches no id",
            expected=f"a pattern that finds the group in ids such as {dataset.items[0].id}",
        )
    return dataset


def read_again(path_or_name: str | Path, made_from: Mapping[str, Any], *, format: str | None = None) -> Dataset:
    """Read data for a model in the way its own were read: ``made_from`` is what its manifest says of them (``data``).

    So the same data are split in the same way. Raises as ``read``; groups that are not in other data are no error.
    """
    seed, pattern = made_from.get("split_seed", 0), made_from.get("group_by")
    group_by = pattern if isinstance(pattern, str) else None
    return read_with(FORMATS, Path(path_or_name), format=format, split_seed=seed, group_by=group_by)

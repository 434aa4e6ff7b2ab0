"""What is measured: every row of the table, who takes part in it, and what it is to show.

A row is repeated, and its contenders take turns, so that a slow hour of the machine falls on all of them. Repeat R is
also the seed. A contender is timed as a user meets it: whole processes, from start to exit.
"""

from dataclasses import dataclass
from typing import Literal

Average = Literal["mean", "median"]
EMBEDDED = ("digits",)  # data that comes with Visto: a name, not a folder of VISTO_DATA


@dataclass(frozen=True, slots=True, kw_only=True)
class Visto:
    """``visto train DATA -o BUNDLE``, then ``visto evaluate BUNDLE DATA``, with an empty cache of decoded images.

    ``data`` is a folder of VISTO_DATA, or one of ``EMBEDDED``; ``options`` go to ``visto train``. In a row with a judge
    the bundle is asked for its answers instead of being evaluated. ``weights`` names a file of VISTO_WEIGHTS without
    which it would learn from nothing.
    """

    data: str
    weights: str = ""
    options: tuple[str, ...] = ()
    name: str = "visto"
    repeats: int = 0  # 0: as many as the row

    @property
    def environment(self) -> str:
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script of this folder, whose last line on stdout is a JSON document with the row's metric.

    It is given ``--seed`` and ``--threads``, in a row with a judge also ``-o ANSWERS``, and finds VISTO_DATA in its
    environment. ``environment`` names the requirements in ``peers/`` that it runs with; without, it runs with Visto's
    own Python.
    """

    file: str
    name: str
    environment: str = ""
    arguments: tuple[str, ...] = ()
    repeats: int = 0


Contender = Visto | Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Who gives the figures where no contender gives its own: ``file DATA ANSWERS``, by Visto's Python, untimed.

    Its last line on stdout is a JSON document with the row's metric. ``answer`` is the script by which a bundle of
    Visto answers: ``answer BUNDLE DATA -o ANSWERS --threads N``. ``data`` is a folder of VISTO_DATA.
    """

    file: str
    answer: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The figure of ``of`` over all repeats is at least ``least``, its median time to a bundle at most ``within`` s."""

    least: float
    within: float
    average: Average = "mean"
    of: str = "visto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus:
    """``of`` takes at most 1/``faster`` of the peer's whole time (medians), and is at most ``margin`` worse.

    A ``stretch`` is hoped for, not promised; it is judged and printed alike.
    """

    peer: str
    faster: float
    margin: float = 0.0
    average: Average = "median"
    stretch: bool = False
    of: str = "visto"


Claim = Target | Versus


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison. ``shows`` says in words what it is about; the first contender is what ratios are taken to.

    ``also`` are further figures that are kept and shown beside the metric. A ``pace`` is a figure that judges the end
    of a learning curve: of the other contenders it is said when they were as good as the first one ended.
    """

    name: str
    shows: str
    contenders: tuple[Contender, ...]
    repeats: int
    claims: tuple[Claim, ...] = ()
    metric: str = "accuracy"
    also: tuple[str, ...] = ()
    judge: Judge | None = None
    pace: str = ""

    def __post_init__(self) -> None:
        names = [contender.name for contender in self.contenders]
        if len(set(names)) < len(names):
            raise ValueError(f"row {self.name}: two contenders of one name among {names}")
        asked = [claim.of for claim in self.claims]
        asked += [claim.peer for claim in self.claims if isinstance(claim, Versus)]
        if unknown := set(asked) - set(names):
            raise ValueError(f"row {self.name}: a claim names {sorted(unknown)}, expected some of {names}")

    @property
    def is_rate(self) -> bool:
        """Whether the metric itself is a speed; the seconds of the process then mean nothing."""
        return self.metric.endswith("_per_second")


def _keras(data: str) -> Script:
    """The net of TensorFlow's own CNN tutorial, with its settings."""
    return Script(name="keras", file="peers/keras_textbook.py", environment="keras_textbook", arguments=(data,))


def _torch(*arguments: str, repeats: int = 0) -> Script:
    """Transfer learning in a plain PyTorch loop, from the same ImageNet weights as Visto's."""
    file = "peers/plain_torch.py"
    return Script(name="torch", file=file, environment="plain_torch", arguments=arguments, repeats=repeats)


def _alone(
    name: str, data: str, least: float, within: float, *, shows: str, repeats: int = 1, metric: str = "accuracy"
) -> Row:
    """Visto by itself, by the plain command, against a target."""
    return Row(
        name=name,
        shows=shows,
        contenders=(Visto(data=data),),
        repeats=repeats,
        claims=(Target(least=least, within=within),),
        metric=metric,
    )


def _boxes(
    name: str,
    *contenders: Contender,
    shows: str,
    claims: tuple[Claim, ...],
    metric: str = "map",
    also: tuple[str, ...] = (),
    pace: str = "map_validation",
) -> Row:
    """Detection on BCCD's own lists, judged by pycocotools; a run takes tens of minutes, so there is one."""
    figures = [figure for figure in ("map", "map50", "map75", "map_validation") if figure != metric]
    return Row(
        name=name,
        shows=shows,
        contenders=contenders,
        repeats=1,
        claims=claims,
        metric=metric,
        also=(*figures, *_SPEEDS, *also),
        judge=Judge(file="boxes.py", answer="detector.py", data="bccd"),
        pace=pace,
    )


def _classic(model: str, least: float) -> Row:
    """A classic model of Visto by its defaults beside scikit-learn on pixels, whole processes with the judging."""
    return Row(
        name=f"mnist-{model}",
        shows=f"MNIST by --model {model}, beside scikit-learn's on plain pixels",
        contenders=(
            Script(name="sklearn", file="classic.py", arguments=(model,)),
            Visto(data="mnist", options=("--model", model)),
        ),
        repeats=3,
        claims=(Target(least=least, within=600),),
    )


# of one image from its file, of one from its pixels, of many from their files
_SPEEDS = ("latency_p50_ms", "latency_p90_ms", "decoded_p50_ms", "decoded_p90_ms", "images_per_second")

# the smallest nets that still get there, chosen on validation images; shell-proof: no spaces
_SMALL_COLOUR = ("--model", "speedrun", "--set", "widths=[16,32,64]", "--epochs", "0.6", "--batch-size", "250")
_SMALLEST = ("--model", "speedrun", "--set", "widths=[16,32,32]", "--batch-size", "250")
_SMALL_GREY = (*_SMALLEST, "--epochs", "0.5")

_ROWS = (
    Row(
        name="cifar-10-keras",
        shows="CIFAR-10: the accuracy of TensorFlow's CNN tutorial in a fraction of its time",
        contenders=(_keras("cifar-10"), Visto(data="cifar-10-batches-bin", options=_SMALL_COLOUR)),
        repeats=3,
        claims=(Versus(peer="keras", faster=5), Versus(peer="keras", faster=10, stretch=True)),
    ),
    Row(
        name="mnist-keras",
        shows="MNIST: the accuracy of the same textbook net in a fraction of its time",
        contenders=(_keras("mnist"), Visto(data="mnist", options=_SMALL_GREY)),
        repeats=3,
        claims=(Versus(peer="keras", faster=5), Versus(peer="keras", faster=10, stretch=True)),
    ),
    Row(
        name="rows",
        shows="MNIST row by row: the accuracy of a textbook LSTM of 128 units in a third of its time",
        contenders=(
            Script(name="keras", file="peers/keras_rows.py", environment="keras_textbook"),
            Visto(data="mnist", options=("--as", "rows", "--epochs", "1.5")),
        ),
        repeats=3,
        claims=(Versus(peer="keras", faster=3), Target(least=0.98, within=20)),
    ),
    Row(
        name="rows-989",
        shows="MNIST row by row to 0.989 in ten minutes, by --as rows",
        contenders=(Visto(data="mnist", options=("--as", "rows")),),
        repeats=3,
        claims=(Target(least=0.989, within=600),),
    ),
    Row(
        name="clothing-transfer",
        shows="photos of clothes: the accuracy of a plain PyTorch fine-tune, less 1.5 points at most, in a fraction",
        contenders=(_torch("clothing", repeats=3), Visto(data="clothing")),
        repeats=5,
        claims=(Versus(peer="torch", faster=15, margin=0.015, average="mean"),),
    ),
    Row(
        name="loader",
        shows="from photo files to training batches of 32, 224 pixels, zoomed and mirrored at random: images a second",
        contenders=(
            _torch("clothing", "--only-loader"),
            *(
                Script(name=f"visto-{epoch}", file="loader.py", arguments=("clothing", "--epoch", epoch))
                for epoch in ("cold", "warm", "further")
            ),
        ),
        repeats=3,
        metric="images_per_second",
    ),
    Row(
        name="cifar-10-90",
        shows="CIFAR-10 to 0.90 in three minutes",
        contenders=(Visto(data="cifar-10-batches-bin", options=("--set", "widths=[32,128,256]", "--epochs", "4")),),
        repeats=3,
        claims=(Target(least=0.90, within=180),),
    ),
    Row(
        name="cifar-10-94",
        shows="CIFAR-10 to 0.94 in eight minutes, mean of five seeds",
        contenders=(Visto(data="cifar-10-batches-bin"),),
        repeats=5,
        claims=(Target(least=0.94, within=480),),
    ),
    Row(
        name="mnist-99",
        shows="MNIST to 0.990 in eight seconds",
        contenders=(Visto(data="mnist", options=(*_SMALLEST, "--epochs", "0.4")),),
        repeats=3,
        claims=(Target(least=0.990, within=8),),
    ),
    Row(
        name="mnist-996",
        shows="MNIST to 0.996 in a minute",
        contenders=(Visto(data="mnist", options=("--set", "widths=[32,64,128]", "--epochs", "3")),),
        repeats=3,
        claims=(Target(least=0.996, within=60),),
    ),
    Row(
        name="fashion-94",
        shows="Fashion-MNIST to 0.94 in six minutes",
        contenders=(Visto(data="fashion-mnist"),),
        repeats=3,
        claims=(Target(least=0.94, within=360),),
    ),
    _classic("svm", 0.983),
    _classic("knn", 0.97),
    _classic("forest", 0.965),
    _classic("tree", 0.87),
    Row(
        name="neighbours",
        shows="the 5 nearest of 60,000 MNIST images for each of 10,000, on pixels: images a second",
        contenders=(
            Script(name="sklearn", file="classic.py", arguments=("knn", "--rate")),
            Script(name="visto", file="classic.py", arguments=("knn", "--rate", "--engine", "visto")),
        ),
        repeats=3,
        metric="images_per_second",
    ),
    _boxes(
        "bccd-scratch",
        Script(
            name="yolo26n",
            file="peers/ultralytics_yolo.py",
            environment="ultralytics_yolo",
            arguments=("bccd",),
        ),
        Visto(data="bccd", options=("--scratch",)),
        shows="blood cells found from nothing: no worse than Ultralytics' YOLO26n by its defaults, in half of the time",
        claims=(Versus(peer="yolo26n", faster=2),),
    ),
    _boxes(
        "bccd",
        Visto(data="bccd", weights="yolox_nano_coco.onnx"),
        shows="blood cells found by the plain command, from the weights of COCO",
        claims=(Target(least=0.60, within=1800),),
    ),
    _boxes(
        "bccd-lines",
        Visto(data="bccd", weights="yolox_nano_coco.onnx", name="yolo"),
        Visto(data="bccd", options=("--model", "faster_rcnn"), name="faster_rcnn"),
        Visto(data="bccd", options=("--model", "rcnn"), name="rcnn"),
        shows="blood cells by each kind of detector, by its defaults: what it costs and gets",
        claims=(
            Target(least=0.87, within=3600, of="faster_rcnn"),
            Target(least=0.55, within=3600, of="rcnn"),
        ),
        metric="map50",
        also=("bundle_mb",),
        pace="",  # R-CNN has no curve: it learns in stages
    ),
    _alone("digits", "digits", 0.98, 300, repeats=5, shows="the embedded digits, by the plain command"),
    _alone("mnist", "mnist", 0.994, 240, shows="MNIST, by the plain command"),
    _alone("fashion-mnist", "fashion-mnist", 0.93, 480, shows="Fashion-MNIST, by the plain command"),
    _alone("cifar-10", "cifar-10-batches-bin", 0.88, 1200, shows="CIFAR-10, by the plain command"),
    _alone("clothing", "clothing", 0.89, 300, repeats=5, shows="3,781 photos of clothes, by the plain command"),
    _alone("hymenoptera", "hymenoptera", 0.94, 300, repeats=5, shows="397 photos of ants and bees, likewise"),
    _alone("pneumoniamnist", "pneumoniamnist", 0.94, 300, repeats=5, metric="auroc", shows="chest X-rays, likewise"),
)
ROWS: dict[str, Row] = {row.name: row for row in _ROWS}

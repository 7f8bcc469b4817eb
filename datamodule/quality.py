"""Images that need a look whatever their label: duplicates, blank, dark, odd-sized, outlying and unreadable ones."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datamodule.decode import Pixels
from datamodule.duplicates import near_pairs
from datamodule.inventory import Inventory, Rows
from datamodule.looks import Looks, look_at

BLANK = 2.0  # contrast of 255 below which there is nothing to see
DARK, BRIGHT = 64.0, 192.0  # 99 % of a dark image's pixels are below, of a bright one's above
FENCE = 3.0  # quartile distances beyond the quartiles, Tukey's "far out"
ODD = 2.0  # times the usual size or shape, at least
ENOUGH = 50  # images, to tell what is usual
LEAST_VARIANCE = 1e-3  # below it a direction only holds rounding
COPIES = ("exact duplicate", "near duplicate")
KINDS = ("left out", "unreadable", *COPIES, "blank", "dark", "bright", "odd size", "outlier")


@dataclass(frozen=True)
class Issue:
    """Something about one image. other: the file that it duplicates, with its split; strength: the more, the worse."""

    file: str
    split: str
    label: str
    kind: str
    note: str
    other: str = ""
    other_split: str = ""
    strength: float = 0.0

    @property
    def across(self) -> bool:
        """Whether two splits share an image, which makes figures of merit look better than they are."""
        return bool(self.other_split) and self.other_split != self.split


def examine(
    inventory: Inventory,
    read: Callable[[int], Pixels],
    left_out: Sequence[tuple[str, str]] = (),
) -> list[Issue]:
    """All issues, those across splits first, then by kind and strength.

    read: a row's image (H, W, C) of any size, as `ImageData.reader` gives it. left_out: file and reason of images that
    were refused before, which are listed too.
    """
    looks, bad = look_at(read, np.arange(len(inventory)))
    usable = np.ones(len(inventory), bool)
    usable[list(bad)] = False
    blank = usable & (looks.contrast < BLANK)
    issues = [Issue(file, "", "", "left out", reason) for file, reason in left_out]
    issues += [_issue(inventory, row, "unreadable", reason) for row, reason in bad.items()]
    issues += _exact(inventory)
    issues += _near(inventory, looks, np.flatnonzero(usable & ~blank))
    issues += _plain(inventory, looks, usable, blank)
    issues += _odd_sizes(inventory)
    issues += _outliers(inventory, looks, np.flatnonzero(usable & ~blank))
    return sorted(issues, key=lambda issue: (not issue.across, KINDS.index(issue.kind), -issue.strength, issue.file))


def quality_csv(issues: Iterable[Issue]) -> str:
    """file, split, label, issue, other_file, other_split, note."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "split", "label", "issue", "other_file", "other_split", "note"))
    for issue in issues:
        where = (issue.file, issue.split, issue.label, issue.kind)
        writer.writerow((*where, issue.other, issue.other_split, issue.note))
    return text.getvalue()


def summary(issues: Sequence[Issue]) -> str:
    """Such as "3 near duplicates (2 across splits), 1 blank"."""
    counts = Counter(issue.kind for issue in issues)
    across = Counter(issue.kind for issue in issues if issue.across)
    said = [
        f"{counts[kind]:,} {kind}{'s' if counts[kind] > 1 and kind in (*COPIES, 'outlier') else ''}"
        + (f" ({across[kind]:,} across splits)" if across[kind] else "")
        for kind in KINDS
        if counts[kind]
    ]
    return ", ".join(said) or "nothing"


def _issue(inventory: Inventory, row: int, kind: str, note: str, strength: float = 0.0, other: int = -1) -> Issue:
    file, split, label = (str(column[row]) for column in (inventory.path, inventory.split, inventory.label))
    if other < 0:
        return Issue(file, split, label, kind, note, strength=strength)
    return Issue(file, split, label, kind, note, str(inventory.path[other]), str(inventory.split[other]), strength)


def _exact(inventory: Inventory) -> list[Issue]:
    """Each file whose bytes occur before it, in another split if they do so there."""
    _, group = np.unique(inventory.sha256.astype(str), return_inverse=True)
    order = np.argsort(group, kind="stable")
    again = np.flatnonzero(group[order][1:] == group[order][:-1])
    pairs = np.stack((order[again], order[again + 1]), axis=1)
    return _partners(inventory, pairs, np.ones(len(pairs)), "exact duplicate", "the same bytes")


def _near(inventory: Inventory, looks: Looks, rows: Rows) -> list[Issue]:
    """Images that look the same without being the same file."""
    pairs, likeness = near_pairs(looks.take(rows))
    pairs = rows[pairs]
    differ = inventory.sha256[pairs[:, 0]] != inventory.sha256[pairs[:, 1]]
    return _partners(inventory, pairs[differ], likeness[differ], "near duplicate", "likeness {:.3f}")


def _partners(
    inventory: Inventory, pairs: Rows, likeness: npt.NDArray[np.floating], kind: str, note: str
) -> list[Issue]:
    """One issue for each image that has a partner, naming the one in another split, else the likest."""
    rows, others = np.concatenate((pairs, pairs[:, ::-1])).T if len(pairs) else np.empty((2, 0), np.int64)
    likeness = np.concatenate((likeness, likeness))
    same_split = inventory.split[rows] == inventory.split[others]
    order = np.lexsort((others, -likeness, same_split, rows))
    _, first = np.unique(rows[order], return_index=True)
    chosen = order[first]
    columns = (rows[chosen].tolist(), others[chosen].tolist(), likeness[chosen].tolist())
    return [
        _issue(inventory, row, kind, note.format(like), like, other) for row, other, like in zip(*columns, strict=True)
    ]


def _plain(
    inventory: Inventory, looks: Looks, usable: npt.NDArray[np.bool_], blank: npt.NDArray[np.bool_]
) -> list[Issue]:
    found = {
        "blank": (blank, BLANK - looks.contrast, "contrast", looks.contrast),
        "dark": (usable & ~blank & (looks.brightest < DARK), -looks.brightest, "brightest", looks.brightest),
        "bright": (usable & ~blank & (looks.darkest > BRIGHT), looks.darkest, "darkest", looks.darkest),
    }
    return [
        _issue(inventory, row, kind, f"{word} {shown[row]:.1f} of 255", float(strength[row]))
        for kind, (mask, strength, word, shown) in found.items()
        for row in np.flatnonzero(mask).tolist()
    ]


def _odd_sizes(inventory: Inventory) -> list[Issue]:
    """Far smaller, larger, wider or higher than most."""
    known = np.flatnonzero((inventory.width > 0) & (inventory.height > 0))
    width, height = np.log2(inventory.width[known]), np.log2(inventory.height[known])
    far = np.maximum(_beyond((width + height) / 2, np.log2(ODD)), _beyond(width - height, np.log2(ODD)))
    return [
        _issue(inventory, row, "odd size", f"{inventory.width[row]} x {inventory.height[row]}", float(by))
        for row, by in zip(known[far > 0].tolist(), far[far > 0], strict=True)
    ]


def _outliers(inventory: Inventory, looks: Looks, rows: Rows) -> list[Issue]:
    """Images whose colours, contrast and fineness are together unlike all others'."""
    if len(rows) < ENOUGH:
        return []
    distance = outlyingness(looks.traits[rows])
    far = _beyond(np.log2(np.maximum(distance, 1.0)), 0.0)
    return [
        _issue(inventory, row, "outlier", f"distance {length:.1f}", float(by))
        for row, length, by in zip(rows[far > 0].tolist(), distance[far > 0], far[far > 0], strict=True)
    ]


def outlyingness(traits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Distance from the middle of all images, each principal direction scaled to its spread. (n, d) to (n,)."""
    centred = traits - np.median(traits, axis=0)
    variance, directions = np.linalg.eigh(np.cov(centred, rowvar=False))
    scaled = centred @ directions / np.sqrt(np.maximum(variance, LEAST_VARIANCE))
    distance: npt.NDArray[np.float32] = np.linalg.norm(scaled, axis=1)
    return distance


def _beyond(values: npt.NDArray[np.floating], least: float) -> npt.NDArray[np.floating]:
    """By how much each value lies outside of Tukey's far fence, and more than `least` from the median; else 0."""
    if not len(values):
        return values
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    fence = FENCE * (high - low) + 1e-9
    above, below = values - max(high + fence, middle + least), min(low - fence, middle - least) - values
    return np.maximum(np.maximum(above, below), 0.0)

"""How often the gate promotes a challenger that is no better, and how often one that is."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest

from bench import simulated
from bench.plots import draw_power
from bench.record import ROOT
from bench.simulated import LIKENESS
from ml.config import GateSettings
from ml.gating import Evidence, decide
from ml.intervals import compare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.record import Measured

__all__ = ["measure"]

TRIALS, POWER_TRIALS = 500, 200
#: Of equal challengers: a share of 5 % is then known to 0.8 points.
EQUAL_TRIALS = 3000
POINTS = (1, 2, 3, 5)
SIZES = (200, 860, 3000)
GROUPS = (10, 20, 30, 50, 100)
MARGINS = (0.0, 0.01, 0.02)
RISK = GateSettings().champion_risk
#: For the plot and the table of sizes, and for the few groups.
USUAL = "sibling"


@dataclass(frozen=True)
class _Case:
    """Challengers that are better by ``points`` hundredths of macro F1, held against champions on one test split.

    Attributes:
        images: of a split like the real one; 0 for the real one.
        groups: instead of that, so many groups of forty images.
    """

    name: str
    likeness: str
    points: int
    trials: int
    images: int = 0
    groups: int = 0

    @property
    def split(self) -> simulated.TestSplit:
        if self.groups:
            return simulated.few_groups(self.groups)
        return simulated.like_real(self.images) if self.images else simulated.real()


def measure() -> Measured:
    """Draw answers of pairs of models, compare and decide as the pipeline does, and count who is promoted."""
    cases = list(_cases())
    # Forked, a process would inherit TensorFlow's threads.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        found = dict(zip([case.name for case in cases], pool.map(_shares, range(len(cases)), cases), strict=True))
    figures = {f"{case}_{what}": share for case, shares in found.items() for what, share in shares.items()}
    draw_power(figures, RISK, ROOT / "docs" / "images" / "gate-power.png")
    equal = {name: figures[f"real_{_key(name)}_0_points_margin_0_share"] for name in LIKENESS}
    return {
        "question": f"Which share of challengers is promoted at a risk of {RISK:g}: {EQUAL_TRIALS:,} that are as good "
        f"as the champion for each likeness of the two, and {POWER_TRIALS} better by some points of macro F1?",
        "baseline": "the configured risk; a ratio is the share of equal challengers promoted, at a margin of 0, of it",
        "figures": figures,
        "ratios": {f"{_key(name)}_false_promotions_share_of_risk": share / RISK for name, share in equal.items()},
    }


def _cases() -> Iterator[_Case]:
    """The real split with equal, better and, at the margin of 0.01, worse challengers; other sizes; few groups."""
    for likeness in LIKENESS:
        for points in (0, -1):
            trials = TRIALS if points else EQUAL_TRIALS
            yield _Case(f"real_{_key(likeness)}_{points}_points", likeness, points, trials)
    for likeness in ("other backbone", USUAL, "trained again"):
        for points in POINTS:
            yield _Case(f"real_{_key(likeness)}_{points}_points", likeness, points, POWER_TRIALS)
    for images in SIZES:
        for points in POINTS:
            yield _Case(f"images_{images}_{points}_points", USUAL, points, POWER_TRIALS, images=images)
    for groups in GROUPS:
        for points in (0, -1):
            yield _Case(f"groups_{groups}_{points}_points", USUAL, points, 2 * TRIALS, groups=groups)


def _shares(number: int, case: _Case) -> dict[str, float]:
    """Shares promoted, by margin, each with its 95 % interval (Clopper-Pearson), and what the plain share would do."""
    split = case.split
    groups = split.groups.astype(str).tolist()
    promoted, plain, differing = np.zeros(len(MARGINS)), np.zeros(len(MARGINS)), 0
    for trial in range(case.trials):
        challenger, champion = simulated.answers(
            split, (case.points / 100, 0.0), LIKENESS[case.likeness], seed=number * 10_000 + trial
        )
        comparison = compare(split.labels, challenger, champion, simulated.CLASSES, groups)
        evidence = Evidence({"report": []}, comparison=comparison)
        promoted += [decide(evidence, GateSettings(champion_margin=margin)).promoted for margin in MARGINS]
        worse = np.array([(comparison.differences < -margin).mean() for margin in MARGINS])
        plain += (worse <= RISK) & (comparison.challenger > comparison.champion)
        differing += comparison.differing
    shares = {"differing_groups": differing / case.trials}
    for margin, count, uncorrected in zip(MARGINS, promoted.astype(int), plain, strict=True):
        ends = binomtest(int(count), case.trials).proportion_ci()
        shares |= {
            f"margin_{margin:g}_share": count / case.trials,
            f"margin_{margin:g}_share_low": ends.low,
            f"margin_{margin:g}_share_high": ends.high,
            f"margin_{margin:g}_uncorrected_share": uncorrected / case.trials,
        }
    return {name: float(share) for name, share in shares.items()}


def _key(likeness: str) -> str:
    return likeness.replace(" ", "_")

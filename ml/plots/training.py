"""Figures of a training run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

from ml.plots import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["learning_curves"]


@style.styled
def learning_curves(history: pd.DataFrame, title: str, best_epoch: int) -> Figure:
    """Accuracy, loss and macro F1 over the epochs, with the epoch whose weights were kept.

    Args:
        history: columns ``epoch``, ``val_macro_f1``, ``accuracy``, ``val_accuracy``, ``loss``, ``val_loss``; one row an
            epoch.
        title: of the figure.
        best_epoch: a value of ``epoch``.
    """
    subtitle = (
        f"{len(history)} {'epoch' if len(history) == 1 else 'epochs'}; the weights of epoch {best_epoch} were kept"
    )
    figure = style.new_figure(11, 3.5, title, subtitle)
    accuracy, loss, macro_f1 = figure.subplots(1, 3, gridspec_kw={"wspace": 0.06})
    for axes, metric, name in (
        (accuracy, "accuracy", "Accuracy"),
        (loss, "loss", "Loss"),
        (macro_f1, "macro_f1", "Macro F1"),
    ):
        _draw_curves(axes, history, metric, name, best_epoch)
    for axes in (accuracy, macro_f1):
        axes.set_ylim(top=min(1.02, axes.get_ylim()[1]))
    loss.set_ylim(bottom=max(0.0, loss.get_ylim()[0]))
    figure.legend(*accuracy.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def _draw_curves(axes: Axes, history: pd.DataFrame, metric: str, name: str, best_epoch: int) -> None:
    epochs = history["epoch"]
    marker = "o" if len(history) <= 30 else ""
    for column, split, color, dashes in (
        (metric, "training", style.SPLIT_COLORS["train"], "-"),
        (f"val_{metric}", "validation", style.SPLIT_COLORS["validation"], "--"),
    ):
        if column in history:
            axes.plot(epochs, history[column], dashes, color=color, label=split, lw=2, marker=marker, ms=4)
    axes.axvline(best_epoch, color=style.MUTED, lw=1, ls=":", zorder=1)
    best = history.loc[epochs == best_epoch, f"val_{metric}"]
    axes.plot([best_epoch] * len(best), best, "*", color=style.WRONG, ms=14, mec="white", label="best epoch", ls="")
    value = f": validation {best.iloc[0]:.3f}" if len(best) else ""
    axes.set_title(f"{name}{value}")
    axes.set_xlabel("epoch")
    axes.margins(x=0.04, y=0.1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))

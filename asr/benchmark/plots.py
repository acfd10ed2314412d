"""A picture of the rows: word error rate against latency, and against noise, beside the peers."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from asr.benchmark.noisy import NOISES, noise_of
from asr.benchmark.report import MAIN_PRECISION, is_main, ordered_sets
from asr.benchmark.rows import Row
from asr.benchmark.wer import BLOCKS
from asr.errors import DataError

COLOURS = {"asr": "#1f5fbf", "moonshine-tiny": "#c2541b", "whisper-tiny.en": "#6b8e23", "pocketsphinx": "#8a8a8a"}
STYLES = dict(zip(NOISES, ("-", "--"), strict=True))


def draw(rows: Sequence[Row], path: Path) -> None:
    """Writes the picture. Raises DataError where the rows hold neither, or the file cannot be written."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    wer = [row for row in rows if row.metric == "wer"]
    by_block, by_noise = latency_lines(wer), noise_lines(wer)
    if not by_block and not by_noise:
        raise DataError("no error rates over several latencies or noises to draw; measure some first: asr benchmark --speech FOLDER")
    figure, panels = pyplot.subplots(1, bool(by_block) + bool(by_noise), figsize=(6.2 * (bool(by_block) + bool(by_noise)), 4.4),
                                     layout="constrained", squeeze=False)
    panels = list(panels[0])
    if by_block:
        _draw_latency(panels.pop(0), by_block)
    if by_noise:
        _draw_noise(panels.pop(0), by_noise)
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise DataError(f"{path}: the picture cannot be written: {error.strerror or error}") from error
    finally:
        pyplot.close(figure)


def latency_lines(rows: Iterable[Row]) -> dict[str, list[tuple[str, float]]]:
    """{set: [(block, WER)]} of this recogniser's beam, int8, from the shortest block to the whole utterance, where there are several."""
    own = [row for row in rows if row.system == "asr" and row.precision == MAIN_PRECISION and row.mode.endswith(" beam")
           and not noise_of(row.set) and ":" not in row.set]
    names = [name for name in ordered_sets(own) if name != "recordings"] or ["recordings"]    # a dozen clips say less than a set
    found = {}
    for name in names:
        values = {row.mode.partition(" ")[0]: row.value for row in own if row.set == name}
        if len(values) > 2:
            found[name] = [(block, values[block]) for block in reversed(BLOCKS) if block in values]
    return found


def noise_lines(rows: Iterable[Row]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """{(system, noise): [(SNR in dB, WER)]}, means over the sets that were measured most widely, where all of them were."""
    found: dict[str, dict[tuple[str, str, float], float]] = {}
    for row in rows:
        if (noisy := noise_of(row.set)) and is_main(row):
            found.setdefault(noisy[0], {})[row.system, *noisy[1:]] = row.value
    most = max(map(len, found.values()), default=0)
    chosen = [values for values in found.values() if len(values) == most]               # the others were trials
    lines: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for system, kind, level in sorted(set.intersection(*map(set, chosen))) if chosen else ():
        mean = sum(values[system, kind, level] for values in chosen) / len(chosen)
        lines.setdefault((system, kind), []).append((level, mean))
    return lines


def _draw_latency(axes, lines: dict[str, list[tuple[str, float]]]) -> None:
    blocks = [block for block in reversed(BLOCKS) if any(block in dict(line) for line in lines.values())]
    for name, line in lines.items():
        axes.plot([blocks.index(block) for block, _ in line], [value for _, value in line], marker="o", label=name)
    axes.set_xticks(range(len(blocks)), ["whole\nutterance" if block == "full" else f"{block} ms" for block in blocks])
    axes.set(xlabel="chunks", ylabel="word error rate, %", ylim=(0, None), title="One set of weights at every latency")
    axes.grid(alpha=0.3)
    axes.legend()


def _draw_noise(axes, lines: dict[tuple[str, str], list[tuple[float, float]]]) -> None:
    for (system, kind), line in lines.items():
        axes.plot([level for level, _ in line], [value for _, value in line], STYLES.get(kind, ":"), marker="o",
                  color=COLOURS.get(system), label=f"{system}, {kind}")
    axes.set(xlabel="speech over noise, dB", ylabel="word error rate, mean of the sets, %", ylim=(0, None), title="In noise")
    axes.grid(alpha=0.3)
    axes.legend()

"""Rows as tables: for a terminal, for the README, and as one line of JSON for programs."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from asr.benchmark.noisy import noise_of
from asr.benchmark.rows import METRICS, PROGRAM, SET_ORDER, WHOLE, Row
from asr.errors import DataError

BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"
MAIN_PRECISION, MAIN_MODE, MAIN_STREAM_MODE = "int8", "full beam", "320 beam"
WHOLE_METRICS = ("wer", "cer", "rtf_file")           # of whole utterances; the others are of streams
SPEED_METRICS = ("rtf_file", "rtf_stream", "final_latency_p50", "final_latency_p95", "peak_memory", "startup")
CAPTION_METRICS = ("flicker", "withdrawn", "first_shown_p50", "endpoint_latency_p50", "endpoint_latency_p95")
DIGITS = {"wer": 1, "cer": 1, "rtf_file": 3, "rtf_stream": 3, "flicker": 2, "withdrawn": 2, "size": 1, "startup": 2,
          "idle_cpu": 1, "soak_memory_growth": 1, "soak_rtf_first": 3, "soak_rtf_last": 3, "soak_lost": 1}
HEADINGS = {
    "rtf_file": "whole files, × real time", "rtf_stream": "streaming, × real time", "final_latency_p50": "speech to final, p50 ms",
    "final_latency_p95": "p95 ms", "peak_memory": "peak memory, MB", "startup": "start-up, s", "size": "model files, MB",
}
CAPTION_HEADINGS = {
    "flicker": "words changed after they were shown, per final word", "withdrawn": "of these, taken back",
    "first_shown_p50": "end of a word to its first showing, p50 ms",
    "endpoint_latency_p50": "end of the pause to the final text, p50 ms", "endpoint_latency_p95": "the same, p95 ms",
}
SOAK_HEADINGS = {                                    # (metric, set) -> heading
    ("soak_hours", PROGRAM): "sound without a break, hours",
    ("soak_words", PROGRAM): "words kept",
    ("soak_lost", PROGRAM): "sound lost, s",
    ("soak_unheard", PROGRAM): "utterances without a word",
    ("soak_memory_growth", PROGRAM): "growth of memory after the first ten minutes, MB",
    ("soak_rtf_first", PROGRAM): "work in the first quarter, × real time",
    ("soak_rtf_last", PROGRAM): "work in the last quarter, × real time",
}
IDLE_HEADINGS = {
    ("idle_cpu", f"{PROGRAM}, silence"): "of a core in silence, %",
    ("idle_cpu", f"{PROGRAM}, noise"): "of a core in noise of -60 dBFS, %",
}
ENDURANCE = (("Live captions for hours, of speech with pauses, silence and noise between", SOAK_HEADINGS),
             ("Live captions while nobody speaks", IDLE_HEADINGS))
OF_PROGRAMS = ("size", "startup", "peak_memory", "soak_finals", *(metric for metric, _ in SOAK_HEADINGS | IDLE_HEADINGS))


def print_rows(rows: Sequence[Row]) -> None:
    """Prints a table of each metric: systems with precision and mode down; sets across, files and programs down as well."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for metric in METRICS:
        chosen = [row for row in rows if row.metric == metric]
        if not chosen:
            continue
        of_speech = metric not in OF_PROGRAMS
        lines: dict[tuple[str, ...], dict[str, float]] = {}
        for row in chosen:
            if noisy := noise_of(row.set):
                row = replace(row, set=noisy[0], mode=f"{row.mode}, {noisy[1]} {noisy[2]:g} dB")
            of = (row.system, row.precision, row.mode)
            lines.setdefault(of if of_speech else (*of, row.set), {})[row.set if of_speech else METRICS[metric]] = row.value
        columns = [METRICS[metric]]
        if of_speech:
            columns = list(dict.fromkeys((noise_of(name) or (name,))[0] for name in ordered_sets(chosen)))
        headings = ("system", "precision", "mode") if of_speech else ("system", "precision", "mode", "of")
        table = Table(*headings, title=f"{metric}, {METRICS[metric]}", title_justify="left")
        for name in columns:
            table.add_column(name, justify="right")
        for line, values in lines.items():
            table.add_row(*line, *(shown(metric, values.get(name)) for name in columns))
        console.print(table)


def shown(metric: str, value: float | None) -> str:
    """A value with the digits that mean something."""
    if value is None:
        return ""
    return f"{value:.{DIGITS.get(metric, 0)}f}"


def summary(rows: Iterable[Row]) -> str:
    """One line of JSON: {metric: {system: {set: value}}} of the main condition (this recogniser: int8, full context, beam)."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        if is_main(row):
            found.setdefault(row.metric, {}).setdefault(row.system, {})[row.set] = row.value
    return json.dumps(found, ensure_ascii=False)


def is_main(row: Row) -> bool:
    """Whether a row belongs to the one condition that stands for its system."""
    if row.system != "asr" or row.metric == "size" or row.set.startswith(PROGRAM):
        return True
    return row.precision == MAIN_PRECISION and row.mode == (MAIN_MODE if row.metric in WHOLE_METRICS else MAIN_STREAM_MODE)


def readme_tables(rows: Sequence[Row]) -> str:
    """The README's tables in Markdown: WER by system and set, WER of this recogniser by condition, speed by system."""
    rows = [row for row in rows if not noise_of(row.set)]                   # those in noise are for the picture
    wer = [row for row in rows if row.metric == "wer" and ":" not in row.set]
    own = [row for row in wer if row.system == "asr"]
    parts = []
    if wer:
        parts.append("Word error rate, %, whole utterances (ours: int8, beam):\n\n" + system_table([row for row in wer if is_main(row)]))
    limited = [row for row in rows if row.metric == "wer" and ":" in row.set and is_main(row)]
    for limit in sorted({row.set.partition(":")[2] for row in limited}, key=int):
        compared = [replace(row, set=row.set.partition(":")[0]) for row in limited if row.set.endswith(f":{limit}")]
        if len({row.system for row in compared}) > 1:                       # else it was a trial
            parts.append(f"The same over {limit} utterances of each set:\n\n" + system_table(compared))
    if own:
        sets = ordered_sets(own)
        values = {(row.mode, row.precision, row.set): row.value for row in own}
        conditions = dict.fromkeys((row.mode, row.precision) for row in sorted(own, key=mode_place))
        parts.append("Ours by block (full utterance, or chunks of so many milliseconds), decoder and precision, WER in %:\n\n" + markdown(
            ["", *sets], [[f"{mode}, {precision}", *(shown("wer", values.get((mode, precision, name))) for name in sets)]
                          for mode, precision in conditions]))
    speed = speed_table(rows)
    if speed:
        parts.append("One core; delay from the end of speech to the final text, the endpointer's pause excluded:\n\n" + speed)
    captions = {(row.metric, row.set): row.value for row in rows if row.metric in CAPTION_METRICS and is_main(row) and ":" not in row.set}
    if captions:
        sets = ordered_sets([row for row in rows if (row.metric, row.set) in captions])
        names = [metric for metric in CAPTION_METRICS if any(of == metric for of, _ in captions)]
        parts.append("Live captions in chunks of 320 ms, recordings joined into one session:\n\n" + markdown(
            ["", *sets], [[CAPTION_HEADINGS[metric], *(shown(metric, captions.get((metric, name))) for name in sets)] for metric in names]))
    values = {(row.metric, row.set): row.value for row in rows}
    for title, headings in ENDURANCE:
        if lines := [[heading, shown(of[0], values[of])] for of, heading in headings.items() if of in values]:
            parts.append(f"{title}:\n\n{markdown(['', PROGRAM], lines)}")
    commits: dict[str, set[str]] = {}
    for row in rows:
        if ":" not in row.set:
            commits.setdefault(row.machine, set()).add(row.commit)
    parts += [f"Measured on {machine}, at {', '.join(sorted(names))}." for machine, names in sorted(commits.items())]
    return "\n\n".join(parts)


def system_table(rows: Sequence[Row]) -> str:
    """Error rates of systems (lines) on sets."""
    sets, values = ordered_sets(rows), {(row.system, row.set): row.value for row in rows}
    systems = dict.fromkeys(row.system for row in rows)
    return markdown(["", *sets], [[system, *(shown("wer", values.get((system, name))) for name in sets)] for system in systems])


def speed_table(rows: Sequence[Row]) -> str:
    """Speed, delay, memory, start-up and size of each system; figures of several sets are averaged. Empty without such rows."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row.metric in SPEED_METRICS and is_main(row) and ":" not in row.set:
            line = row.set if row.set == PROGRAM else row.system
            found.setdefault(line, {}).setdefault(row.metric, []).append(row.value)
    for row in rows:
        if row.metric == "size" and row.set == WHOLE and row.system in found:
            found[row.system]["size"] = [row.value]
    columns = [metric for metric in HEADINGS if any(metric in figures for figures in found.values())]
    lines = [[line, *(shown(metric, mean(figures.get(metric))) for metric in columns)] for line, figures in found.items()]
    return markdown(["", *(HEADINGS[metric] for metric in columns)], lines) if found else ""


def update_readme(path: Path, rows: Sequence[Row]) -> None:
    """Puts the tables between the two marks of a README. Raises DataError where the marks are missing."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise DataError(f"{path}: no place for the tables; write the lines {BEGIN} and {END} where they should be")
    path.write_text(f"{before}{BEGIN}\n{readme_tables(rows)}\n{END}{after}", encoding="utf-8")


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, numbers to the right."""
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rule, *lines))


def ordered_sets(rows: Iterable[Row]) -> list[str]:
    """The sets of rows, the known ones first and in their order."""
    names = dict.fromkeys(row.set for row in rows)
    return sorted(names, key=lambda name: (SET_ORDER.index(name) if name in SET_ORDER else len(SET_ORDER), name))


def mode_place(row: Row) -> tuple:
    """Order of this recogniser's conditions: beam before greedy, int8 before float, long blocks before short ones."""
    block, _, decoder = row.mode.partition(" ")
    return decoder, row.precision != MAIN_PRECISION, block != "full", -int(block) if block.isdigit() else 0


def mean(values: Sequence[float] | None) -> float | None:
    """The mean; None of nothing."""
    return sum(values) / len(values) if values else None

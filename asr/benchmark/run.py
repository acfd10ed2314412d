"""The benchmark's parts, one after the other; each hands its rows over as soon as it has them, so that an interrupted run keeps them.

A part is error rates of one system on one set, its speed there, how steady its captions are, its start, its sizes, what `asr live`
costs while nobody speaks, or hours of it. Peers are loaded in processes of their own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from asr.benchmark.captions import measure_captions
from asr.benchmark.program import run_live
from asr.benchmark.rows import LIBRARY, PROGRAM, WHOLE, Row, make_row, project_root
from asr.benchmark.sets import SpeechSet
from asr.benchmark.speed import Figure, measure_speed, measure_start
from asr.benchmark.systems import load_peer
from asr.benchmark.systems.own import Asr
from asr.benchmark.wer import AsrTexts, Grid, PeerTexts, score_set
from asr.benchmark.workers import run_alone
from asr.errors import AsrError

PARTS = ("errors", "speed", "captions", "start", "size", "idle", "soak")
USUAL_PARTS = PARTS[:-1]                             # a soak takes long: it is asked for
SPEED_UTTERANCES = 40                                # of a set; spread over it
HOURS = 4.0                                          # of a soak


@dataclass(frozen=True)
class Plan:
    """What to measure. `systems` names `asr` and peers; `jobs` is the number of processes for error rates.

    `noisy` are sets whose error rates alone are measured.
    """

    sets: tuple[SpeechSet, ...]
    systems: tuple[str, ...] = ("asr",)
    parts: tuple[str, ...] = USUAL_PARTS
    grid: Grid = field(default_factory=Grid)
    bundle: str | None = None
    jobs: int = 1
    hours: float = HOURS
    noisy: tuple[SpeechSet, ...] = ()


LIVE = "auto", "320 beam"                            # precision and mode of `asr live` without options
Begin = Callable[[str, int], Callable[[], None]]     # (what, number of steps) -> function to call for each step done


def run(plan: Plan, begin: Begin = lambda what, steps: lambda: None) -> Iterator[list[Row]]:
    """The rows of each part of a plan. Raises AsrError where a set, a bundle or a system cannot be used."""
    if "asr" in plan.systems:
        from asr.bundle import load_bundle
        plan = replace(plan, grid=plan.grid.within(load_bundle(plan.bundle)))
    for system in plan.systems:
        if "errors" in plan.parts:
            load = partial(AsrTexts, plan.bundle, plan.grid) if system == "asr" else partial(PeerTexts, system)
            for speech_set in (*plan.sets, *plan.noisy):
                advance = begin(f"{system}: errors on {speech_set.name}", len(speech_set.utterances))
                yield error_rows(system, load, speech_set, plan.jobs, advance)
        for load in loaders(system, plan):
            if "speed" in plan.parts:
                for speech_set in plan.sets:
                    done = begin(f"{system}: speed on {speech_set.name}", 1)
                    figures = run_alone(measure_speed, load, speech_set.first(SPEED_UTTERANCES).utterances)
                    done()
                    yield figure_rows(system, speech_set.name, figures)
            if "captions" in plan.parts and system == "asr":
                for speech_set in plan.sets:
                    done = begin(f"{system}: captions of {speech_set.name}", 1)
                    figures = run_alone(measure_captions, load, speech_set.first(SPEED_UTTERANCES).utterances)
                    done()
                    yield figure_rows(system, speech_set.name, figures)
            if "start" in plan.parts:
                done = begin(f"{system}: start and memory", 1)
                figures = run_alone(measure_start, load, plan.sets[0].utterances[0])
                done()
                yield figure_rows(system, LIBRARY, figures)
        if "start" in plan.parts and system == "asr":
            done = begin("asr live: start and memory", 1)
            rows = live_rows(plan)
            done()
            yield rows
        if "size" in plan.parts:
            yield own_sizes(plan.bundle) if system == "asr" else peer_sizes(system)
    if "asr" in plan.systems:
        yield from endurance(plan, begin)


def loaders(system: str, plan: Plan) -> list[Callable]:
    """What loads a system, picklable: this recogniser once for each precision, with the plan's first decoder."""
    if system != "asr":
        return [partial(load_peer, system)]
    return [partial(Asr, plan.bundle, precision, plan.grid.decoders[0]) for precision in plan.grid.precisions]


def error_rows(system: str, load: Callable, speech_set: SpeechSet, jobs: int, advance: Callable[[], None]) -> list[Row]:
    """WER and CER of all conditions of a system on a set."""
    scores = score_set(load, speech_set, jobs, advance)
    return [make_row(metric, speech_set.name, system, precision, mode, value)
            for (precision, mode), score in scores.items() for metric, value in (("wer", score.wer), ("cer", score.cer))]


def figure_rows(system: str, set_name: str, figures: list[Figure]) -> list[Row]:
    """Rows of what a process measured."""
    return [make_row(figure.metric, set_name, system, figure.precision, figure.mode, figure.value) for figure in figures]


def live_rows(plan: Plan) -> list[Row]:
    """Start and memory of the program `asr live` over recordings/sample.flac, as it is without options; none without that file."""
    sample = project_root() / "recordings" / "sample.flac"
    if not sample.exists():
        return []
    return [make_row(metric, PROGRAM, "asr", *LIVE, value) for metric, value in run_live(sample, plan.bundle).items()]


def endurance(plan: Plan, begin: Begin) -> Iterator[list[Row]]:
    """What `asr live` costs while nobody speaks, and a soak in the speech of all sets, each as the plan has it."""
    from asr.benchmark.idle import LEVELS_DBFS, idle_cpu
    from asr.benchmark.soak import soak
    from asr.client.models import load_models

    load = partial(load_models, plan.bundle)
    if "idle" in plan.parts:
        advance = begin("asr live: while nobody speaks", len(LEVELS_DBFS))
        for kind in LEVELS_DBFS:
            yield [make_row("idle_cpu", f"{PROGRAM}, {kind}", "asr", *LIVE, run_alone(idle_cpu, load, kind))]
            advance()
    if "soak" in plan.parts:
        utterances = [utterance for speech_set in plan.sets for utterance in speech_set.first(SPEED_UTTERANCES).utterances]
        minutes = round(60 * plan.hours)
        advance = begin(f"asr live: minutes of {plan.hours:g} h of sound", minutes)
        done_minutes = 0

        def advance_to(heard_s: float):
            nonlocal done_minutes
            while done_minutes < min(minutes, heard_s // 60):
                advance()
                done_minutes += 1

        found = soak(utterances, plan.hours, load, advance_to)
        advance_to(3600 * plan.hours)
        yield [make_row(metric, soak_name(plan.hours), "asr", *LIVE, value) for metric, value in found.figures.items()]
        if found.remarks:
            raise AsrError(f"a soak should give no cause for remarks, and this did: {'; '.join(found.remarks)}")


def soak_name(hours: float) -> str:
    """In place of a set. A soak cut short says so, so that its figures never pass for those of a whole one."""
    return PROGRAM if hours >= HOURS else f"{PROGRAM}:{hours:g} h"


def own_sizes(bundle_path: str | None) -> list[Row]:
    """Size of each file of the bundle, and of all of them."""
    from asr.bundle import load_bundle
    from asr.client.acoustic import FILES

    bundle = load_bundle(bundle_path)
    precision_of = {name: precision for precision, name in FILES.items()}
    sizes = {name: bundle.path(name).stat().st_size for name in bundle.files}
    rows = [make_row("size", name, "asr", precision_of.get(name, ""), "", size / 1e6) for name, size in sizes.items()]
    return [*rows, make_row("size", WHOLE, "asr", "", "", sum(sizes.values()) / 1e6)]


def peer_sizes(name: str) -> list[Row]:
    """Size of a peer's model files together."""
    precision, size = run_alone(_peer_size, name)
    return [make_row("size", WHOLE, name, precision, "", size / 1e6)]


def _peer_size(name: str) -> tuple[str, int]:
    peer = load_peer(name)
    return peer.precision, sum(Path(path).stat().st_size for path in peer.model_files)

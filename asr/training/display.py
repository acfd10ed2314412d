"""What a person sees of a training run: a progress bar with loss, development errors and time left; lines where there is no terminal."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from asr.training.loop import Progress as Place
from asr.training.loop import Trainer

LINE_S = 60                          # between lines where the output is not a terminal


def run_with_progress(trainer: Trainer) -> None:
    """Run to the end; Ctrl-C saves and ends quietly, which the run itself does."""
    console = Console()
    batches = trainer.batches
    parameters = sum(p.numel() for p in trainer.model.parameters())
    console.print(f"{parameters / 1e6:.1f} million parameters, {batches.store.seconds / 3600:.1f} h of speech in {len(batches.store)} "
                  f"utterances, {trainer.dtype}, {trainer.device}".replace("torch.", ""))
    for reason, count in batches.left_out.items():
        console.print(f"left out: {count} utterances ({reason})")
    _Run(trainer, console).go()


class _Run:
    def __init__(self, trainer: Trainer, console: Console):
        self.trainer, self.console = trainer, console
        self.began, self.first, self.said = time.monotonic(), trainer.progress.passes, 0.0
        self.numbers: dict[str, float] = {}

    def go(self) -> None:
        columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as bar:
            task = bar.add_task("", total=self.trainer.schedule.end, completed=self.first)

            def report(place: Place, numbers: dict) -> None:
                self.numbers.update(numbers)
                text = self.text(place)
                bar.update(task, completed=place.passes, total=self.trainer.schedule.end, description=text)
                if not self.console.is_terminal and (not numbers or time.monotonic() - self.said > LINE_S):
                    self.console.print(text, soft_wrap=True)
                    self.said = time.monotonic()

            self.trainer.run(report)
        made = f"{self.trainer.folder / 'last.pt'}: the trained model; curves in {self.trainer.history.picture}"
        self.console.print(made, soft_wrap=True)

    def text(self, place: Place) -> str:
        parts = [f"pass {place.passes:.2f}/{self.trainer.schedule.end:.1f}"]
        if self.numbers:
            parts.append("loss {phones:.2f} phones {pieces:.2f} pieces, {audio_per_s:.0f} s/s".format(**self.numbers))
        if place.results:
            errors = " ".join(f"{name} {100 * r['word_error']:.1f}" for name, r in place.results.items())
            parts.append(f"WER % {errors}")
        parts.append(f"{self.left(place)} left")
        return ", ".join(parts)

    def left(self, place: Place) -> str:
        done = place.passes - self.first
        if done <= 0:
            return "?"
        seconds = (time.monotonic() - self.began) * (self.trainer.schedule.end - place.passes) / done
        return f"{int(seconds // 3600)}:{int(seconds // 60 % 60):02d}"

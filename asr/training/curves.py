"""The history of a run: one JSON line an event, TensorBoard scalars, and a PNG of the curves."""

import json
from pathlib import Path

from asr.files import write_whole


class History:
    """Writes events of a run as they come; `steps` and `results` are what the curves show."""

    def __init__(self, folder: Path):
        from torch.utils.tensorboard import SummaryWriter
        self.path = folder / "history.jsonl"
        self.picture = folder / "curves.png"
        self._board = SummaryWriter(str(folder / "tensorboard"))

    def add(self, kind: str, step: int, values: dict[str, float]) -> None:
        """Append {"kind", "step", ...} and pass the numbers to TensorBoard as kind/name."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        for name, value in values.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)
        self._board.flush()

    def rewind(self, step: int) -> None:
        """Forget events after a step: a run that goes on from a checkpoint passes there again."""
        if self.path.exists():
            lines = self.path.read_text("utf-8").splitlines(keepends=True)
            write_whole(self.path, "".join(line for line in lines if json.loads(line)["step"] <= step))

    def draw(self) -> None:
        """Redraw curves.png from the file; a run of a few steps without development sets has none."""
        lines = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
        events = [json.loads(line) for line in lines]
        draw_curves(events, self.picture)


def draw_curves(events: list[dict], picture: Path) -> None:
    """Loss, error rates, learning rate and speed over passes -> PNG."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    steps = [e for e in events if e["kind"] == "train"]
    sets = sorted({e["kind"] for e in events if e["kind"].startswith("dev")})
    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(15, 4.2), layout="constrained")
    if steps:
        left.plot([e["passes"] for e in steps], [e["phones"] for e in steps], label="training, augmented", linewidth=0.8)
    for name in sets:
        of_set = [e for e in events if e["kind"] == name]
        passes = [e["passes"] for e in of_set]
        left.plot(passes, [e["loss"] for e in of_set], marker=".", label=name)
        line, = middle.plot(passes, [100 * e["word_error"] for e in of_set], marker=".", label=f"{name} words, greedy")
        middle.plot(passes, [100 * e["phone_error"] for e in of_set], linestyle="--", color=line.get_color(), label=f"{name} phones")
    left.set(xlabel="passes over the data", ylabel="loss, nats a phone", ylim=(0, 3))
    middle.set(xlabel="passes over the data", ylabel="error, %", ylim=(0, 120), yticks=range(0, 101, 20))
    right.plot([e["passes"] for e in steps], [e["rate"] for e in steps], color="tab:green")
    right.set(xlabel="passes over the data", ylabel="learning rate")
    speed = right.twinx()
    speed.plot([e["passes"] for e in steps], [e["audio_per_s"] for e in steps], color="tab:gray", linewidth=0.6)
    speed.set(ylabel="seconds of audio a second", ylim=(0, None))
    for axes in (left, middle):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8, loc="upper right", ncols=2 if axes is middle else 1)
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)

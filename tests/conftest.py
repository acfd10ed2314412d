"""What all tests share: the folders they read, a bundle made on the spot, and CI's rule that a skipped test is a failed one."""

import os
import signal
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SPEECH = Path(os.environ.get("ASR_SPEECH") or ROOT.parent / "shared" / "speech")
IN_CI = os.environ.get("CI", "").lower() in ("1", "true")
os.environ.setdefault("TORCH_EXTENSIONS_DIR", str(Path.home() / ".cache" / "torch_extensions"))     # one build, whatever cache a test sets
os.environ["ASR_SESSIONS"] = tempfile.mkdtemp(prefix="asr-sessions-")       # never among the user's own
MAY_SKIP = ("no GPU",)               # what a skip's reason may begin with in CI too: machines that CI never has


# A shell that starts a job in the background has it ignore Ctrl-C, and so would every program that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def speech() -> Path:
    """The folder of speech sets (NAME.tar, NAME.tsv) beside the repository; skips the test where it is not."""
    if not (SPEECH / "dev-libri.tsv").is_file():
        pytest.skip("needs ../shared/speech (or ASR_SPEECH=FOLDER)")
    return SPEECH


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of short real clips that the repository holds: recordings.tsv, *.opus, sample.flac."""
    return ROOT / "recordings"


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory):
    """A bundle with a random model of width 16, six words and their language model: it hears nothing, but all of it is real."""
    from tests.tiny import tiny_bundle
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="session")
def english():
    """The shipped recogniser, loaded once."""
    from asr import Recognizer
    return Recognizer()


@pytest.fixture
def server():
    """A running server of the caption page, on a free port of this machine."""
    from asr.client.server import CaptionServer
    running = CaptionServer("127.0.0.1", 0)
    running.start()
    yield running
    running.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """In CI, which has all that tests need, a skip is a failure: it would hide that something no longer runs."""
    report = yield
    return fail_if_skipped(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    """The same for a whole module that skips itself."""
    report = yield
    return fail_if_skipped(report)


def fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> pytest.TestReport | pytest.CollectReport:
    """Turn a skip into a failure in CI, unless its reason is in MAY_SKIP or the test is expected to fail."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if not reason.startswith(MAY_SKIP):
            report.outcome = "failed"
            report.longrepr = f"skipped in CI, where nothing may be missing: {reason}"
    return report

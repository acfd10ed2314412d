"""`asr transcribe --ray auto` where no cluster runs: apart from test_cluster.py, whose cluster `auto` would find."""

import os
import re

from tests.ray_cluster import begin, ended


def test_no_cluster_of_this_machine(recordings, tmp_path):
    """Where none runs here, `auto` finds none, and starts none."""
    status, out, err = ended(begin(os.environ | {"RAY_TMPDIR": str(tmp_path)}, "--ray", "auto", recordings / "sample.flac"))
    assert (status, out) == (1, "")
    assert re.fullmatch(r"asr: no connection to the Ray cluster \(auto\): Could not find any running Ray instance.*\n", err), err

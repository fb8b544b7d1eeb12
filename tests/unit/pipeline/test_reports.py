"""What a pipeline's process tells the daemon of itself."""

import threading
from types import SimpleNamespace

from ringdaq.pipeline import process
from ringdaq.pipeline.process import PipelineProcess

OVERTAKING_SECS = 0.2


def test_an_older_report_never_arrives_after_a_newer_one(monkeypatch, tmp_path):
    sent = []

    def call(method, params, *, timeout):
        sent.append(params["state"])

    client = SimpleNamespace(call=call)
    monkeypatch.setattr(process.ControlClient, "connect", lambda *_: client)
    reporting = PipelineProcess(tmp_path, "clean")
    pipeline = SimpleNamespace(state="paused", failures=list)
    newer = threading.Thread(target=reporting._beat, kwargs={"now": True})

    def statistics():
        """Here the older report is made up: the state changes, and another thread tells so."""
        if pipeline.state == "paused":
            pipeline.state = "running"
            newer.start()
            newer.join(OVERTAKING_SECS)
        return {}

    pipeline.statistics = statistics
    reporting._pipeline = pipeline
    reporting._beat(now=True)
    newer.join()
    assert sent == ["paused", "running"]

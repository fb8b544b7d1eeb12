"""BrainFlow's own boards, its real library."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipeline_kit import ListFeed, site

from ringdaq.clock import now_nanos
from ringdaq.errors import NotConnectedError, StreamError
from ringdaq.pipeline.parts import RefusedError
from ringdaq.pipeline.sources.brainflow_board import BrainFlowBoard, brainflow_library

PATIENCE_SECS = 30.0


def board(folder: Path = Path("/nowhere"), **options: Any) -> BrainFlowBoard:
    return BrainFlowBoard(BrainFlowBoard.Options(**options), site(folder))


def taken(source: BrainFlowBoard, feed: ListFeed) -> Any:
    form = source.format()
    thread = threading.Thread(target=source.run, args=(feed,))
    thread.start()
    thread.join(PATIENCE_SECS)
    assert not thread.is_alive()
    source.close()
    return form


def recorded(path: Path, packages: list[int]) -> Any:
    """A file as BrainFlow itself writes it, of the synthetic board; returns its values."""
    shim = brainflow_library()
    rows = np.zeros((32, len(packages)))
    rows[0] = packages
    rows[1:17] = np.arange(16)[:, None] * 100 + np.arange(len(packages)) / 8
    rows[30] = 1_700_000_000 + np.arange(len(packages)) / 250
    from brainflow.data_filter import DataFilter

    DataFilter.write_file(rows, str(path), "w")
    assert shim.BoardShim.get_board_descr(-1)["timestamp_channel"] == 30
    return rows


def test_the_synthetic_board_gives_marked_volts_on_ringdaqs_clock() -> None:
    feed, before = ListFeed(enough=100), now_nanos()
    form = taken(board(samples=10), feed)
    assert (form.kind, form.rate, form.samples, form.simulated) == ("voltage", 250, 10, True)
    assert [c.name for c in form.channels][:3] == ["Fz", "C3", "Cz"]
    assert {c.unit for c in form.channels} == {"V"}
    assert {block.shape for block in feed.blocks} == {(10, 16)}
    assert feed.samples.std() < 1e-2
    assert before - 10**9 < feed.places[0][0] < now_nanos() + 10**9


def test_a_file_is_played_back_value_for_value_to_its_end(tmp_path: Path) -> None:
    rows = recorded(tmp_path / "play.csv", [n % 256 for n in range(300)])
    source = board(
        tmp_path, board="playback", file="play.csv", master_board="synthetic",
        samples=20, silence_secs=0.5,
    )  # fmt: skip
    feed = ListFeed()
    form = taken(source, feed)
    assert not form.simulated
    count = len(feed.samples)
    assert count >= 280
    np.testing.assert_allclose(feed.samples, rows[1:17, :count].T * 1e-6, rtol=1e-6)
    assert source.line.lost_samples == 0


def test_packages_that_never_came_are_counted_and_begin_a_new_stretch(tmp_path: Path) -> None:
    numbers = [*range(200, 256), *range(20), *range(23, 60), *range(61, 101)]
    recorded(tmp_path / "play.csv", numbers)
    source = board(
        tmp_path, board="playback", file="play.csv", master_board="synthetic",
        samples=10, silence_secs=0.5,
    )  # fmt: skip
    feed = ListFeed()
    taken(source, feed)
    assert source.statistics()["lost_samples"] == 4
    assert source.statistics()["gaps"] == 2
    assert len({origin for origin, _ in feed.places}) >= 3


def test_what_is_no_full_packet_at_the_end_is_a_shorter_one(tmp_path: Path) -> None:
    recorded(tmp_path / "play.csv", [n % 256 for n in range(100)])
    source = board(
        tmp_path, board="playback", file="play.csv", master_board="synthetic",
        samples=64, silence_secs=0.5,
    )  # fmt: skip
    feed = ListFeed()
    taken(source, feed)
    assert len(feed.blocks[0]) == 64
    assert len(feed.samples) >= 90


def test_a_board_that_falls_silent_has_given_all_that_came(monkeypatch: pytest.MonkeyPatch) -> None:
    source, feed = board(silence_secs=0.05, samples=10), ListFeed()
    source.format()
    come = [np.zeros((32, 3))]
    none = np.zeros((32, 0))
    monkeypatch.setattr(source._board, "get_board_data", lambda _: come.pop() if come else none)
    with pytest.raises(StreamError, match="nothing came"):
        source.run(feed)
    source.close()
    assert len(feed.samples) == 3


def test_boards_and_signals_that_are_not_there_are_refused() -> None:
    with pytest.raises(RefusedError, match=r"no board 'cytn'.*'cyton'"):
        board(board="cytn").format()
    with pytest.raises(RefusedError, match="needs the file to play"):
        board(board="playback", master_board="synthetic").format()
    with pytest.raises(RefusedError, match="has no ecg channels"):
        board(board="muse_2", signals="ecg").format()


def test_a_board_that_cannot_be_opened_says_why() -> None:
    source = board(board="cyton", serial_port="/nowhere/tty")
    with pytest.raises(NotConnectedError, match="BrainFlow cannot open the board 'cyton'"):
        source.format()
    source.close()


def test_silence_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    source = board(silence_secs=0.05)
    source.format()
    monkeypatch.setattr(source._board, "get_board_data", lambda _: np.zeros((32, 0)))
    with pytest.raises(StreamError, match=r"nothing came from the board 'synthetic' for 0\.05 s"):
        source.run(ListFeed())
    source.close()

"""What a graph is refused for, each with its line, and what is known of one that is right."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from graph_stand import RATE, SINK, SOURCE, VOLTS, graph_of, raw_stream, refusal, stage

from ringdaq.config import parse_pipeline
from ringdaq.config.pipeline import OWN_KEYS
from ringdaq.errors import ConfigError
from ringdaq.model import Channel, StreamSpec
from ringdaq.pipeline import CheckedGraph, build, check
from ringdaq.pipeline.catalogue import KINDS
from ringdaq.streams import StreamWriter

CHAIN = SOURCE + VOLTS


@pytest.fixture
def rings(tmp_path: Path) -> Iterator[Path]:
    with raw_stream(tmp_path):
        yield tmp_path


def edges(graph: CheckedGraph) -> list[tuple[str, str]]:
    return [(edge.source, edge.target) for edge in graph.edges]


# --- what follows what


def test_stages_follow_each_other_and_sinks_hang_beside(rings: Path) -> None:
    text = CHAIN + SINK + stage('type = "rfft"') + stage('name = "b"; type = "ring_sink"')
    graph = graph_of(text, rings)
    assert edges(graph) == [("in", "volts"), ("volts", "out"), ("volts", "rfft"), ("rfft", "b")]
    assert [edge.queued for edge in graph.edges] == [False] * 4


def test_an_input_leads_elsewhere_and_a_fork_makes_queues(rings: Path) -> None:
    text = CHAIN + SINK + stage('type = "rfft"; input = "volts"') + SINK.replace("out", "b")
    text += stage('type = "welch"; input = "volts"') + SINK.replace("out", "c")
    graph = graph_of(text, rings)
    assert edges(graph)[2:] == [
        ("volts", "rfft"), ("rfft", "b"), ("volts", "welch"), ("welch", "c"),
    ]  # fmt: skip
    assert [e.target for e in graph.edges if e.queued] == ["rfft", "welch"]


def test_a_connection_changes_an_edge_that_is_there(rings: Path) -> None:
    more = '[[connection]]\nfrom = "in"\nto = "volts"\ncapacity = 3\npolicy = "fail"\nthread = true'
    graph = graph_of(CHAIN + SINK + more, rings)
    assert edges(graph) == [("in", "volts"), ("volts", "out")]
    edge = graph.edges[0]
    assert (edge.capacity, edge.policy, edge.thread, edge.queued) == (3, "fail", True, True)


def test_the_order_is_the_texts_where_it_is_free(rings: Path) -> None:
    text = SINK + 'input = "volts"\n' + VOLTS + 'input = "in"\n' + SOURCE
    graphs = [graph_of(text, rings) for _ in range(3)]
    assert {tuple(s.name for s in graph.stages) for graph in graphs} == {("in", "volts", "out")}


LOOP = stage('name = "a"; type = "pass"; input = ["volts", "b"]') + stage(
    'name = "b"; type = "pass"; input = "a"'
)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (CHAIN + LOOP + SINK, 13, "the stages run in a circle: b → a → b"),
        (CHAIN + stage('type = "pass"; input = "pass"') + SINK, 9, "circle: pass → pass"),
        (SOURCE + VOLTS + 'input = "vlots"\n' + SINK, 9, "no stage 'vlots'; did you mean 'volts'?"),
        (VOLTS + SINK, 1, "no source leads to 'volts'; write its input"),
        (CHAIN, 1, "'in' leads to no sink"),
        (CHAIN, 6, "'volts' leads to no sink"),
        (CHAIN + SINK + VOLTS.replace("volts", "v2") + 'input = "out"\n', 9, "nothing can follow"),
        (CHAIN + SINK + SOURCE.replace('"in"', '"in2"') + 'input = "volts"\n', 13, "is a source"),
        (
            CHAIN + SINK + '[[connection]]\nfrom = "volts"\nto = "out.left"\n',
            15,
            "stage 'out' has no way in called 'left'",
        ),
        (
            CHAIN + SINK + '[[connection]]\nfrom = "volts"\nto = "outt"\n',
            15,
            "did you mean 'out'?",
        ),
    ],
)
def test_what_leads_nowhere_is_refused(text: str, line: int, said: str, rings: Path) -> None:
    found = refusal(text, rings)
    assert f"line {line}: " in found
    assert said in found


def test_all_problems_are_told_at_once(rings: Path) -> None:
    text = CHAIN + stage('type = "highpass"; cutoff_hz = 130; ordre = 2') + stage('type = "x"')
    found = refusal(text + SINK, rings)
    assert found.startswith("2 errors in the pipeline file:")
    assert "line 12: unknown key 'stage[2].ordre'; did you mean 'order'?" in found
    assert "line 14: stage 'x': no type of stage 'x'" in found


def test_a_stream_has_one_writer(rings: Path) -> None:
    two = SINK + SINK.replace('name = "out"', 'name = "again"')
    assert "line 16: 'out' writes stream 'out' already" in refusal(CHAIN + two, rings)


def test_a_pipeline_does_not_read_what_it_writes(rings: Path) -> None:
    text = refusal(CHAIN + SINK.replace('stream = "out"', 'stream = "raw"'), rings)
    assert "line 12: 'in' reads stream 'raw'; take another" in text


# --- parameters

HZ = f"not below half the rate of {RATE} Hz"


@pytest.mark.parametrize(
    ("written", "line", "said"),
    [
        ('type = "highpas"', 10, "did you mean 'highpass'?"),
        ('type = "highpass"', 9, "'stage[2].cutoff_hz' is missing"),
        ('type = "highpass"; cutoff_hz = 125', 11, HZ),
        ('type = "lowpass"; cutoff_hz = 200', 11, HZ),
        ('type = "lowpass"; cutoff_hz = -1', 11, "greater than 0"),
        ('type = "lowpass"; cutoff_hz = "10"', 11, "valid number"),
        ('type = "lowpass"; cutoff_hz = nan', 11, "finite"),
        ('type = "lowpass"; cutoff_hz = 9; on_eror = "stop"', 12, "did you mean 'on_error'?"),
        ('type = "lowpass"; cutoff_hz = 9; family = "cauer"', 12, "'butterworth'"),
        ('type = "bandpass"; low_hz = 1; high_hz = 125', 12, HZ),
        ('type = "bandpass"; low_hz = 9; high_hz = 8', 11, "low_hz must lie below high_hz"),
        ('type = "notch"; frequency_hz = 130', 11, HZ),
        ('type = "notch"; harmonics = 3', 11, HZ),
        ('type = "envelope"; cutoff_hz = 125', 11, HZ),
        ('type = "sos"; sos = [[1, 0, 0, 1, 0]]', 11, "at least 6 items"),
        ('type = "sos"; sos = [[1, 0, 0, 1, 3, 0]]', 9, "section 0 is not stable"),
        ('type = "sos"; sos = [[1, 0, 0, 0, 0, 0]]', 9, "section 0 is not stable"),
        ('type = "epoch"; before_secs = 0; after_secs = 3600; late_secs = 3599', 12, "more than"),
        ('type = "decimate"; factor = 1', 11, "greater than or equal to 2"),
        ('type = "rfft"; length = 48', 11, "power of two"),
        ('type = "rfft"; length = 32', 11, "does not hold packets of 50 samples"),
        ('type = "welch"; segment = 16; averages = 2', 12, "averages of at least 7"),
        ('type = "band_power"; bands = { high = [100, 130] }', 11, HZ),
        ('type = "band_power"; bands = { odd = [1.1, 1.2] }', 11, "holds no frequency"),
        ('type = "band_power"; bands = { odd = [9, 8] }', 11, "lower bound comes first"),
        (
            'type = "threshold"; channel = "Fx"; level = 1',
            11,
            "no channel 'Fx'; valid are 'Cz', 'Fz'",
        ),
        ('type = "threshold"; channel = 4; level = 1', 11, "no channel 4; there are 4"),
        ('type = "reference"; against = "channel"', 9, "write channel with against"),
        ('type = "reference"; against = "channel"; channel = "Q"', 12, "no channel 'Q'"),
        (
            'type = "reference"; against = "laplacian"; neighbours = { Fz = ["Fz"] }',
            12,
            "needs neighbours other than itself",
        ),
        ('type = "pass"; stage_type = "control_plane"', 11, "leave stage_type out"),
        ('type = "to_voltage"; scale = 2.0', 9, "needs raw packets; found voltage ones"),
    ],
)
def test_parameters_are_refused_with_their_line(
    written: str, line: int, said: str, rings: Path
) -> None:
    text = refusal(CHAIN + stage(written) + SINK, rings)
    assert f"line {line}: " in text
    assert said in text


def test_counts_are_no_volts(rings: Path) -> None:
    text = refusal(SOURCE + stage('type = "notch"') + SINK, rings)
    assert "line 6: stage 'notch': needs voltage or filtered packets; found raw ones" in text
    assert "put a to_voltage stage before it" in text


def test_spectra_are_not_filtered(rings: Path) -> None:
    text = refusal(CHAIN + stage('type = "rfft"') + stage('type = "notch"') + SINK, rings)
    assert "line 11: stage 'notch': needs voltage or filtered packets; found fft ones" in text


def test_what_joins_must_have_one_form(rings: Path) -> None:
    sink = SINK + 'input = ["volts", "in"]\n'
    text = refusal(CHAIN + sink, rings)
    assert "line 13: stage 'out': what joins here must have one form" in text


def test_a_stream_that_is_not_there_is_told(rings: Path) -> None:
    config = parse_pipeline(CHAIN.replace('"raw"', '"row"') + SINK, rings / "graph.toml")
    with pytest.raises(ConfigError) as caught:
        check(config, rings=rings, connect=True)
    said = "line 1: stage 'in': there is no stream 'row'; did you mean 'raw'?"
    assert said in str(caught.value)


def test_without_its_stream_a_graph_is_right_as_far_as_it_goes(rings: Path) -> None:
    text = CHAIN.replace('"raw"', '"later"') + stage('type = "highpass"; cutoff_hz = 130') + SINK
    graph = graph_of(text, rings)
    assert not graph.complete
    assert [graph.format_of(edge) for edge in graph.edges] == [None] * 3
    with pytest.raises(ConfigError, match="check it with connect=True"):
        build(graph)
    assert "unknown key" in refusal(text + "hours = 3\n", rings)


def test_a_preset_is_refused_with_its_own_line(rings: Path) -> None:
    text = CHAIN + stage('type = "notch"') + SINK + "[preset.us.notch]\nfrequency_hz = 600\n"
    config = parse_pipeline(text, rings / "graph.toml")
    check(config, rings=rings)
    with pytest.raises(ConfigError, match="line 16: stage 'notch': 600 Hz"):
        check(config.with_preset("us"), rings=rings)


@pytest.mark.parametrize("rate", ["1e-300", "3.3333333333333333e-9"])
def test_a_rate_that_cannot_be_counted_in_is_refused(rate: str, tmp_path: Path) -> None:
    text = stage(f'type = "simulated_eeg"; rate_hz = {rate}') + SINK
    found = refusal(text, tmp_path)
    assert "line 1: stage 'simulated_eeg': a rate lies above 0 and up to 1000000000 Hz" in found


# --- queues and pools


def test_a_queue_holds_what_comes_while_a_stage_works(rings: Path) -> None:
    slow = stage('type = "pass"; latency_secs = 2.1')
    way = '[[connection]]\nfrom = "volts"\nto = "pass"\nthread = true\n'
    assert graph_of(CHAIN + slow + SINK + way, rings).edges[1].capacity == 11
    text = refusal(CHAIN + slow + SINK + way + "capacity = 10\n", rings)
    assert "line 20: a queue of 10 packets is too small: 'pass' may take 2.1 s" in text
    assert "write at least 11" in text


def test_what_joins_needs_one_policy(rings: Path) -> None:
    ways = "".join(
        f'[[connection]]\nfrom = "{name}"\nto = "out"\npolicy = "{policy}"\n'
        for name, policy in (("volts", "block"), ("pass", "drop_oldest"))
    )
    text = refusal(CHAIN + stage('type = "pass"') + SINK + ways, rings)
    assert "line 19: what joins at 'out' waits in one queue and needs one policy" in text


@pytest.mark.parametrize(
    ("written", "line", "said"),
    [
        ("channels = 3", 14, "holds 3 channels; stage 'in' needs 4"),
        ("samples = 40", 14, "holds 40 samples; stage 'in' needs 50"),
    ],
)
def test_a_pool_that_is_too_small_is_refused(
    written: str, line: int, said: str, rings: Path
) -> None:
    text = refusal(CHAIN + SINK + f"[pool.default]\n{written}\n", rings)
    assert f"line {line}: " in text
    assert said in text


def test_a_pool_must_hold_what_waits(rings: Path) -> None:
    text = CHAIN + 'pool = "small"\n' + SINK
    text += '[[connection]]\nfrom = "volts"\nto = "out"\nthread = true\ncapacity = 20\n'
    found = refusal(text + "[pool.small]\npackets = 24\n", rings)
    assert "pool 'small' holds 24 packets; stage 'volts' needs 25" in found
    built = build(graph_of(text + "[pool.small]\npackets = 25\n", rings))
    built.pipeline.start()
    try:
        assert dict(built.pipeline.statistics()[2])["in"][0] == 25
    finally:
        built.pipeline.stop(5.0)


# --- forms


def test_every_edge_has_its_form(rings: Path) -> None:
    text = CHAIN + stage('type = "decimate"; factor = 5') + stage('type = "welch"; segment = 16')
    graph = graph_of(text + SINK, rings)
    forms = [graph.format_of(edge) for edge in graph.edges]
    assert [form and form.kind for form in forms] == ["raw", "voltage", "filtered", "fft"]
    assert [form and form.samples for form in forms] == [50, 50, 10, 9]
    assert [form and form.rate for form in forms] == [250, 250, 50, 50]
    assert all(form is not None and form.simulated for form in forms)
    spectrum = forms[-1]
    assert spectrum is not None
    assert spectrum.rows[:2] == ("0 Hz", "3.125 Hz")
    assert spectrum.period == Fraction(8 * 6, 50)
    assert {channel.unit for channel in spectrum.channels} == {"V²/Hz"}
    assert [channel.name for channel in spectrum.channels] == ["Fz", "Cz", "Pz", "Oz"]


def test_no_type_has_keys_of_every_stage() -> None:
    for name, kind in KINDS.items():
        fields = kind.options().model_fields.items()
        keys = {field.alias or key for key, field in fields}
        assert keys & OWN_KEYS == set(), name


@pytest.mark.parametrize(
    ("unit", "scale", "offset", "wanted"),
    [("uV", 0.5, 0.0, 5e-7), ("V", 2.0, 0.0, 2.0), ("mV", 1.0, 0.0, 1e-3), ("uV", 1.0, 3.0, None),
     ("", 1.0, 0.0, None), ("K", 0.1, 0.0, None)],
)  # fmt: skip
def test_a_stream_of_counts_says_its_volts(
    unit: str, scale: float, offset: float, wanted: float | None, tmp_path: Path
) -> None:
    channel = Channel("a", "int32", unit, scale=scale, offset=offset)
    spec = StreamSpec("raw", "samples", (channel,), sample_rate=Fraction(250))
    with StreamWriter.create(tmp_path, spec, capacity_bytes=1 << 16):
        if wanted is None:
            said = "line 6: stage 'volts': the source does not say one scale in volts"
            assert said in refusal(CHAIN + SINK, tmp_path)
            return
        planned = graph_of(CHAIN + SINK, tmp_path).stage("volts").planned
    assert planned is not None
    assert planned.stages[0].parameters["scale"] == pytest.approx(wanted)


def test_floats_keep_their_unit(tmp_path: Path) -> None:
    spec = StreamSpec("raw", "samples", (Channel("a", "float32", "uV"),), sample_rate=Fraction(250))
    with StreamWriter.create(tmp_path, spec, capacity_bytes=1 << 16):
        graph = graph_of(SOURCE + stage('type = "welch"') + SINK, tmp_path)
    forms = [graph.format_of(edge) for edge in graph.edges]
    assert [form and form.channels[0].unit for form in forms] == ["uV", "uV²/Hz"]


def test_volts_pass_to_voltage_as_they_are(rings: Path) -> None:
    graph = graph_of(CHAIN + VOLTS.replace("volts", "again") + SINK, rings)
    assert graph.stage("again").output == graph.stage("volts").output

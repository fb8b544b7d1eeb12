"""Rules for what reads, takes frames, and makes samples."""

import math
import threading
from fractions import Fraction
from functools import partial
from typing import Any

from ringdaq.errors import InstrumentFaultError, LimitError
from ringdaq.model import StreamSpec
from ringdaq.testing.conformance.subject import Check, Subject, beside, must, refused
from ringdaq.testing.recording_sink import RecordingSink

BLOCKS = 5
FRAMES = 3


def reads_a_finite_number(subject: Subject) -> None:
    meter = subject.instrument
    must(isinstance(meter.reading_unit, str) and meter.reading_unit, "reading_unit must be a unit")
    value = meter.read()
    must(isinstance(value, float) and math.isfinite(value), f"read() must be finite; found {value}")


def reads_for_several_threads(subject: Subject) -> None:
    calls = [beside(subject.instrument.read) for _ in range(4)]
    for call in calls:
        must(call.ended(subject.deadline_secs), "read() must end for every thread")
        must(call.error is None, f"read() must work for every thread; found {call.error!r}")
        must(isinstance(call.result, float), "read() must be a float for every thread")


def an_unarmed_trigger_is_an_error(subject: Subject) -> None:
    subject.instrument.make_safe()
    must(not subject.instrument.is_armed(), "make_safe() must disarm")
    refused(subject.instrument.trigger, "it is not armed", InstrumentFaultError)


def stays_armed(subject: Subject) -> None:
    _with_sink(subject)
    subject.instrument.arm()
    subject.instrument.arm()
    must(subject.instrument.is_armed(), "arm() must arm")
    subject.instrument.trigger()
    must(subject.instrument.is_armed(), "it must stay armed after a trigger")
    subject.instrument.make_safe()
    must(not subject.instrument.is_armed(), "make_safe() must disarm")


def says_what_its_frames_look_like(subject: Subject) -> None:
    spec: StreamSpec = subject.instrument.frame_spec()
    width, height = subject.instrument.resolution()
    must(spec.kind == "frames", f"frames come in a stream of kind 'frames'; found {spec.kind!r}")
    must(
        spec.channels[0].shape == (height, width),
        f"the first channel must be (height, width) = {(height, width)}; "
        f"found {spec.channels[0].shape}",
    )
    _must_be_marked(subject, spec)


def makes_as_many_frames_as_asked(subject: Subject) -> None:
    camera = subject.instrument
    sink = _with_sink(subject)
    camera.start_stream(FRAMES)
    must(sink.wait(FRAMES, subject.deadline_secs), f"{FRAMES} frames must come")
    made = camera.stop_stream()
    must(made == len(sink.records) == FRAMES, f"{FRAMES} frames must come; found {made}")
    for record in sink.records:
        _must_be_a_frame(camera.frame_spec(), record)
    times = [record[0] for record in sink.records]
    must(times == sorted(set(times)), "each frame must be younger than the one before")


def streams_until_stopped(subject: Subject) -> None:
    camera = subject.instrument
    sink = _with_sink(subject)
    camera.start_stream()
    must(sink.wait(FRAMES, subject.deadline_secs), "frames must come until it is stopped")
    made = camera.stop_stream()
    must(made == len(sink.records), f"stop_stream() must count frames; it says {made}")
    must(camera.stop_stream() == 0, "stop_stream() without a stream must be 0")


def make_safe_ends_a_stream(subject: Subject) -> None:
    camera = subject.instrument
    sink = _with_sink(subject)
    camera.start_stream()
    must(sink.wait(1, subject.deadline_secs), "frames must come")
    camera.make_safe()
    made = camera.stop_stream()
    must(made == len(sink.records), "no frame may come after make_safe() and stop_stream()")


def refuses_a_wrong_number_of_frames(subject: Subject) -> None:
    for frames in (-1, 1.5, float("nan")):
        refused(partial(subject.instrument.start_stream, frames), f"{frames} frames", LimitError)


def says_what_its_samples_look_like(subject: Subject) -> None:
    specs: list[StreamSpec] = subject.instrument.stream_specs()
    must(specs, "there must be at least one stream")
    names = [s.name for s in specs]
    must(len(set(names)) == len(names), f"streams need names that differ; found {names}")
    for spec in specs:
        must(spec.kind == "samples", f"samples come in streams of kind 'samples'; found {spec}")
        _must_be_marked(subject, spec)


def fills_its_streams_without_gaps(subject: Subject) -> None:
    specs: list[StreamSpec] = subject.instrument.stream_specs()
    sinks = {spec.name: RecordingSink() for spec in specs}
    stop = threading.Event()
    running = beside(lambda: subject.instrument.run(sinks, stop))
    try:
        for sink in sinks.values():
            must(sink.wait(BLOCKS, subject.deadline_secs), f"{BLOCKS} blocks must come")
    finally:
        stop.set()
    must(running.ended(subject.deadline_secs), "run() must end when it is told to stop")
    must(running.error is None, f"run() must end in peace; found {running.error!r}")
    for spec in specs:
        _must_follow(spec, sinks[spec.name])


def _must_follow(spec: StreamSpec, sink: RecordingSink) -> None:
    """Each block begins where the exact rate says, one nanosecond of rounding apart."""
    rate: Fraction = spec.sample_rate or Fraction(1)
    start, rows = sink.records[0][0], 0
    for first, block in sink.records:
        must(block.shape[1] == len(spec.channels), "a block must be [rows, channels]")
        must(str(block.dtype) == spec.channels[0].dtype, f"found a block of {block.dtype}")
        must(block.flags.c_contiguous, "a block must be contiguous")
        must(abs(first - start - rows * 10**9 / rate) <= 1, "blocks must follow without a gap")
        rows += len(block)


def _with_sink(subject: Subject) -> RecordingSink:
    sink = RecordingSink()
    if hasattr(subject.instrument, "set_sink"):
        subject.instrument.set_sink(sink)
    return sink


def _must_be_a_frame(spec: StreamSpec, record: tuple[Any, ...]) -> None:
    time_nanos, image, *values = record
    must(isinstance(time_nanos, int), "a frame's time must be an int, in ns")
    must(image.shape == spec.channels[0].shape, f"found an image of {image.shape}")
    must(str(image.dtype) == spec.channels[0].dtype, f"found an image of {image.dtype}")
    must(len(values) == len(spec.channels) - 1, "there must be a value for each further channel")


def _must_be_marked(subject: Subject, spec: StreamSpec) -> None:
    must(spec.instrument == subject.instrument.name, "a stream must name its instrument")
    must(
        spec.simulated == subject.simulated,
        f"stream {spec.name!r} must say simulated = {subject.simulated}",
    )


CHECKS = (
    Check("Readable", reads_a_finite_number),
    Check("Readable", reads_for_several_threads),
    Check("Triggerable", an_unarmed_trigger_is_an_error),
    Check("Triggerable", stays_armed),
    Check("FrameProducer", says_what_its_frames_look_like),
    Check("FrameProducer", makes_as_many_frames_as_asked),
    Check("FrameProducer", streams_until_stopped),
    Check("FrameProducer", make_safe_ends_a_stream),
    Check("FrameProducer", refuses_a_wrong_number_of_frames),
    Check("SampleProducer", says_what_its_samples_look_like),
    Check("SampleProducer", fills_its_streams_without_gaps),
)

import threading

import numpy as np
import pytest

from ringdaq.errors import InstrumentBusyError, InstrumentFaultError, LimitError
from ringdaq.instruments.sim.camera import CameraOptions, SimulatedCamera


def camera_with(list_sink, timer=None, place=None, **options):
    camera = SimulatedCamera("camera", CameraOptions(**options), place, timer)
    sink = list_sink()
    camera.set_sink(sink)
    return camera, sink


def test_unarmed_trigger_is_an_error(list_sink, timer):
    camera, sink = camera_with(list_sink, timer)
    with pytest.raises(InstrumentFaultError, match="armed"):
        camera.trigger()
    assert sink.records == []


def test_a_trigger_writes_one_frame(list_sink, timer):
    camera, sink = camera_with(list_sink, timer, exposure=0.25, width=40, height=30)
    camera.stage()
    begun = timer.now()
    assert [camera.trigger(), camera.trigger()] == [0, 1]
    assert timer.now() - begun == pytest.approx(0.5)
    assert len(sink.records) == 2
    _, image, number, exposure = sink.records[1]
    assert (image.dtype, image.shape, number, exposure) == (np.uint16, (30, 40), 1, 0.25)
    spec = camera.frame_spec()
    assert spec.channels[0].shape == (30, 40)
    assert spec.simulated


def middle(image):
    light = image.astype(float) - 100.0
    return (light.sum(0) * np.arange(image.shape[1])).sum() / light.sum()


def test_the_spot_wanders_and_blurs_with_the_stage(list_sink, timer):
    place = [0.0]
    camera, sink = camera_with(
        list_sink, timer, lambda: place[0], mode="instant", rate=1e6, pixels_per_unit=2.0, blur=0.2
    )
    camera.arm()
    for position in (0.0, 5.0):
        place[0] = position
        camera.trigger()
    sharp, blurred = (record[1] for record in sink.records)
    assert middle(blurred) - middle(sharp) == pytest.approx(10.0, abs=0.5)
    assert blurred.max() < sharp.max() / 2


def test_the_same_seed_gives_the_same_frames(list_sink, timer):
    images = []
    for seed in (1, 1, 2):
        camera, sink = camera_with(list_sink, timer, mode="instant", seed=seed)
        camera.arm()
        camera.trigger()
        images.append(sink.records[0][1])
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_a_stream_makes_as_many_frames_as_asked(list_sink):
    sink = list_sink(enough=5)
    camera = SimulatedCamera("camera", CameraOptions(exposure=0.001, readout_secs=0.001))
    camera.set_sink(sink)
    camera.start_stream(5)
    assert sink.full.wait(30.0)
    assert camera.stop_stream() == 5
    assert [record[2] for record in sink.records] == [0, 1, 2, 3, 4]


def test_a_stream_runs_until_stopped_and_takes_no_trigger(list_sink):
    sink = list_sink(enough=3)
    camera = SimulatedCamera("camera", CameraOptions(exposure=0.001, readout_secs=0.001))
    camera.set_sink(sink)
    camera.arm()
    camera.start_stream()
    assert sink.full.wait(30.0)
    with pytest.raises(InstrumentBusyError):
        camera.trigger()
    with pytest.raises(InstrumentBusyError):
        camera.start_stream()
    assert camera.stop_stream() == len(sink.records)


def test_make_safe_ends_an_exposure(list_sink):
    camera, sink = camera_with(list_sink, exposure=10.0)
    camera.arm()
    raised = []

    def expose():
        try:
            camera.trigger()
        except InstrumentFaultError as error:
            raised.append(str(error))

    thread = threading.Thread(target=expose)
    thread.start()
    while thread.is_alive():
        camera.make_safe()
        thread.join(0.01)
    assert raised
    assert sink.records == []
    assert not camera.is_armed()


@pytest.mark.parametrize("exposure", [float("nan"), 0.0, -1.0, 1e9])
def test_exposure_has_bounds(list_sink, timer, exposure):
    camera, _ = camera_with(list_sink, timer)
    with pytest.raises(LimitError):
        camera.set_exposure(exposure)
    assert camera.get_exposure() == 0.01

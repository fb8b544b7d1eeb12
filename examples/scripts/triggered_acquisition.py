"""Take pictures at a steady pace, with the stage at rest.

Parameters: frames (default 20), interval in seconds (0.1), position of the stage (5.0).
"""

frames = parameters.get("frames", 20)
interval = parameters.get("interval", 0.1)

stage.move_abs(parameters.get("position", 5.0))
stage.wait_settled(10.0)
print("at rest at", stage.position())

camera.arm()
for _ in range(frames):
    number = camera.trigger()
    emit(frame=number, position=stage.position())
    sleep(interval)
print("took", frames, "frames")

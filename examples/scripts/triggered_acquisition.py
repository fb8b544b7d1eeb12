"""Take pictures at a steady pace, with the stage at rest.

Parameters: frames (default 20), interval in seconds (0.1), position of the stage (5.0).
"""

frames = parameters.get("frames", 20)
interval = parameters.get("interval", 0.1)

position = stage.move_abs(parameters.get("position", 5.0))
print("at rest at", position)

camera.arm()
for _ in range(frames):
    emit(frame=camera.trigger(), position=stage.position())
    sleep(interval)
print("took", frames, "frames")

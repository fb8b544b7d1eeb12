"""Find where the most light is: scan the stage, read the power meter, picture the best place.

Parameters: start and end position (0 and 10), steps (21).
"""

start = parameters.get("start", 0.0)
end = parameters.get("end", 10.0)
steps = parameters.get("steps", 21)

best_position = start
best_power = float("-inf")
for i in range(steps):
    position = stage.move_abs(start + (end - start) * i / max(steps - 1, 1))
    power = power_meter.read()
    emit(position=position, power=power)
    if power > best_power:
        best_position = position
        best_power = power

print(f"most light at {best_position:.3f}: {best_power:.3e}")
stage.move_abs(best_position)
camera.arm()
emit(best_position=best_position, best_power=best_power, frame=camera.trigger())

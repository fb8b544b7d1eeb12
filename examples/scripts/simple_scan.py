"""Move a stage through 100 positions and take a picture at each."""

camera.arm()
for i in range(100):
    stage.move_abs(i * 0.1)
    camera.trigger()
    sleep(0.05)

"""How long starts of an image took lately."""

from xnathub_conf.launch.start_times import StartTimes


def test_the_last_five_starts_of_an_image_count():
    times = StartTimes()
    assert times.sentence("a") == ""
    for seconds in (500, 400, 10, 11, 12, 13, 90):
        times.note("a", seconds)
    assert times.sentence("a") == "Starts of this image took about 12 s lately"
    times.note("b", 0.2)
    assert times.sentence("b") == "Starts of this image took about 1 s lately"


def test_images_that_nobody_starts_any_more_are_forgotten():
    times = StartTimes()
    times.note("kept", 3)
    for number in range(600):
        times.note(f"image:{number}", 1)
        times.note("kept", 3)
    assert times.sentence("kept")
    assert not times.sentence("image:0")
    assert times.sentence("image:599")

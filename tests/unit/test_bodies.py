"""How much is kept of bodies that are under way."""

from dataclasses import dataclass, field

from xnathub_conf.web.bodies import MOST_OF_A_STRANGER, Bodies


@dataclass(eq=False)
class Body:
    known: bool = False
    dropped: list[int] = field(default_factory=list)

    def is_known(self):
        return self.known

    def drop(self, status, _text):
        self.dropped.append(status)


def test_of_all_that_is_under_way_the_largest_goes_first():
    bodies = Bodies(strangers=1000, known=10 * MOST_OF_A_STRANGER)
    large, small, form = Body(), Body(), Body()
    bodies.take(large, 600)
    bodies.take(small, 300)
    bodies.take(form, 100)
    assert not large.dropped
    bodies.take(form, 1)
    assert (large.dropped, small.dropped, form.dropped) == ([503], [], [])
    # What is complete takes no room any more.
    bodies.end(small)
    bodies.take(Body(), 899)
    assert not form.dropped


def test_a_stranger_s_body_is_small_whatever_is_free():
    bodies = Bodies()
    stranger, known = Body(), Body(known=True)
    for each in (stranger, known):
        bodies.take(each, MOST_OF_A_STRANGER)
        assert not each.dropped
        bodies.take(each, 1)
    assert (stranger.dropped, known.dropped) == ([413], [])


def test_those_who_are_known_have_their_own_bound():
    bodies = Bodies(strangers=1000, known=3 * MOST_OF_A_STRANGER)
    first, second = Body(known=True), Body(known=True)
    bodies.take(first, MOST_OF_A_STRANGER + 1)
    bodies.take(second, 2 * MOST_OF_A_STRANGER)
    assert (first.dropped, second.dropped) == ([], [503])

"""Which process of pytest-xdist runs which tests: those of a group one after the other, in one process."""

from xdist.scheduler import LoadScopeScheduling

from tests.layers import TESTS, group_of


class GroupScheduling(LoadScopeScheduling):
    """Gives out whole groups of tests, in the order in which they come; see tests/layers.py."""

    def _split_scope(self, nodeid):
        file = TESTS.parent / nodeid.partition("::")[0]
        # Tests of the tests run some that stand elsewhere.
        return group_of(file) if TESTS in file.parents else str(file)

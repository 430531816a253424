"""A hub from the built package, in an environment that holds nothing else."""

from tests.support import RunningHub, Visitor, build_wheel, install_wheel, new_standin


def test_an_installed_wheel_runs_a_hub(tmp_path):
    programs = install_wheel(build_wheel(tmp_path), tmp_path / "environment", "[hub]")
    (tmp_path / "hub").mkdir()
    with new_standin() as xnat:
        hub = RunningHub(tmp_path / "hub", xnat, program=programs / "xnathub")
        try:
            hub.start()
            visitor = Visitor(hub.url)
            visitor.sign_in("demo", xnat.state.user("demo").password)
            assert visitor.is_signed_in_as("demo")
        finally:
            hub.stop()

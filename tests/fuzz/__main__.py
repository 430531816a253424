"""The long run: `python -m tests.fuzz [--minutes M] [TARGET ...]`, coverage-guided, with its figures.

Each property of the fuzz tests is a target of atheris (libFuzzer), which keeps the inputs that reach new code of
xnathub_conf and changes those. Targets of raw bytes get them as they are; the others through hypothesis, as in the tests.
What is found is printed, and kept in `.fuzz/TARGET/` with the inputs that reach most; the next run begins with these.
"""

import argparse
import importlib
import os
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".fuzz"
LONGEST_INPUT = 8192
CASE_SECONDS = 60
MEMORY_MB = 2048

BYTES = {
    "site-text": ("test_site_text", "check_site_file"),
    "xnat-answer": ("test_plans", "check_answer_bytes"),
}
"""Targets that take bytes as they are: the module and its function."""

DRAWN = {
    "site-pieces": ("test_site_text", "test_a_valid_file_with_pieces_changed"),
    "site-anything": ("test_site_text", "test_anything_anywhere"),
    "site-fitting": ("test_site_text", "test_values_that_fit_the_schema"),
    "mounts": ("test_plans", "test_what_passes_holds_nothing_that_the_site_does_not_allow"),
    "plan": ("test_plans", "test_what_passes_names_and_runs_nothing_that_the_site_does_not_allow"),
    "user-options": ("test_plans", "test_user_options_of_a_request_are_kept_flat"),
    "image": ("test_words", "test_an_image_reference_means_here_what_it_means_to_docker"),
    "pattern": ("test_words", "test_a_pattern_allows_what_its_star_says"),
    "memory": ("test_words", "test_amounts_of_memory"),
    "path": ("test_words", "test_paths_have_one_form_and_their_translation_stays_below_its_target"),
    "names": ("test_words", "test_names_of_users_stay_one_part_of_a_path_and_make_names_of_their_own"),
}
"""Targets whose inputs hypothesis draws: the module and its test."""

VERDICTS = "validate-and-hub"
"""The target that sets up a hub for each case: no coverage leads it, only chance."""


def seeds(target: str) -> list[bytes]:
    """Return the inputs that a target of raw bytes begins with."""
    import json

    from tests.fuzz.strategies import small_site
    from tests.unit.helpers import EXAMPLE, MINIMAL, SAMPLE

    if target == "xnat-answer":
        return [json.dumps(SAMPLE).encode(), b"[]", b'"alice"', b"<html>"]
    sites = [json.dumps(small_site(name)).encode() for name in ("local", "docker", "swarm", "kubernetes")]
    return [MINIMAL.encode(), EXAMPLE.read_bytes(), *sites]


def fuzz_one(target: str, seconds: int) -> None:
    """Fuzz a target in this process, which ends with it."""
    import atheris

    module, name = (BYTES | DRAWN)[target]
    with atheris.instrument_imports(include=["xnathub_conf"]):
        function = getattr(importlib.import_module(f"tests.fuzz.{module}"), name)
    run = function if target in BYTES else function.hypothesis.fuzz_one_input
    folder = KEPT / target
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={seconds}",
            f"-max_len={LONGEST_INPUT}",
            f"-timeout={CASE_SECONDS}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-artifact_prefix={folder}/",
            "-print_final_stats=1",
            str(folder / "inputs"),
        ],
        lambda content: run(bytes(content)) and None,
    )
    atheris.Fuzz()


def guided(target: str, seconds: int) -> str:
    """Fuzz a target in a process of its own until the time is over, beginning anew after each finding; give its figures."""
    inputs = KEPT / target / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    if target in BYTES:
        for number, content in enumerate(seeds(target)):
            (inputs / f"seed-{number}").write_bytes(content)
    start, cases, first, last = time.monotonic(), 0, None, 0
    findings: set[str] = set()
    while (left := round(seconds - (time.monotonic() - start))) > 1:
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", "--child", target, "--seconds", str(left)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        covered = [int(found) for found in re.findall(r"cov: (\d+)", done.stdout)]
        cases += int(
            (re.findall(r"^(?:stat::number_of_executed_units: +|#)(\d+)", done.stdout, re.M) or ["0"])[-1]
        )
        if covered:
            first, last = first or covered[0], max(last, covered[-1])
        if done.returncode == 0:
            break
        error = done.stdout.partition("== Python exception:")[2] or done.stdout[-4000:]
        where = re.findall(r'File ".*?([^/"]+)", line (\d+)', error)
        key = f"{where[-1] if where else error[-200:]}"
        if key not in findings:
            findings.add(key)
            print(f"--- {target}: FOUND\n{error.split('== libFuzzer')[0].strip()[-3000:]}\n", flush=True)
        if not covered and not where:
            break
    took = time.monotonic() - start
    return _figures(target, cases, took, f"{first or 0} -> {last}", len(findings))


def by_chance(seconds: int) -> str:
    """Compare `validate` with hubs really set up until the time is over; give the figures."""
    import tempfile

    from hypothesis import HealthCheck, Phase, given, seed, settings

    from tests.fuzz.hub_oracle import HubOracle
    from tests.fuzz.strategies import ENVIRONMENT, sites
    from tests.fuzz.test_validate_is_right import check_verdict

    start, cases, valid, findings = time.monotonic(), 0, 0, 0
    oracle = HubOracle(ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() - start < seconds:

            @seed(int(time.time_ns()))
            @settings(
                max_examples=50,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(sites())
            def compare(data):
                nonlocal cases, valid, findings
                if time.monotonic() - start > seconds:
                    return
                cases += 1
                try:
                    valid += check_verdict(data, oracle, Path(folder))
                except AssertionError as error:
                    findings += 1
                    print(f"--- {VERDICTS}: FOUND\n{data}\n{str(error)[-1500:]}\n", flush=True)

            compare()
    oracle.close()
    return _figures(VERDICTS, cases, time.monotonic() - start, f"{valid} valid", findings)


def _figures(target: str, cases: int, seconds: float, coverage: str, findings: int) -> str:
    return f"{target:18} {cases:>10,} {seconds:>8.0f} {cases / seconds:>9.0f} {coverage:>16} {findings:>9}"


def main() -> int:
    """Fuzz each target for its share of the time, and print a line of figures for each. Gives 1 where anything is found."""
    everything = [*BYTES, *DRAWN, VERDICTS]
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"some of: {', '.join(everything)} (default: all)"
    )
    parser.add_argument("--minutes", type=float, default=15, help="for all targets together (default: 15)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        fuzz_one(options.child, options.seconds)
        return 0
    targets = options.targets or everything
    if find_spec("atheris") is None:
        parser.error("atheris is not installed; it exists for Python 3.11 to 3.13 on Linux alone")
    if unknown := set(targets) - set(everything):
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    share = round(options.minutes * 60 / len(targets))
    print(
        f"{'target':18} {'cases':>10} {'seconds':>8} {'a second':>9} {'coverage':>16} {'findings':>9}",
        flush=True,
    )
    found = False
    for target in targets:
        line = by_chance(share) if target == VERDICTS else guided(target, share)
        print(line, flush=True)
        found = found or not line.endswith(" 0")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

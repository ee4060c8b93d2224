"""srun's command line: its options end where the step's command begins."""

from __future__ import annotations

import pytest

from ajrd.logs.srunargs import output_patterns


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--output=a.log python t.py", ["a.log"]),
        ("--output a.log --error b.log python", ["a.log", "b.log"]),
        ("-o a.log -e b.log x", ["a.log", "b.log"]),
        ("-oa.log x", ["a.log"]),
        ("-lo a.log x", ["a.log"]),
        ("-N2 -n 4 --label -oa.log x", ["a.log"]),
        ("--out=a.log x", ["a.log"]),
        ("-o a.log -o b.log x", ["b.log"]),
        ("python -o a.log", []),
        ("--exclusive python -o a.log", []),
        ("--job-name python -o a.log x", ["a.log"]),
        ("-J -o python -o a.log", []),
        ("-I -o a.log x", ["a.log"]),
        ("-K1 -oa.log x", ["a.log"]),
        ("--kill-on-bad-exit python --output=a.log", []),
        ("-- python -o a.log", []),
        ("--oversubscribe -o a.log x", ["a.log"]),
        ("--output", []),
        ("", []),
    ],
)
def test_the_options_that_matter(line: str, expected: list[str]) -> None:
    assert output_patterns(line.split(), {}, "/w") == (expected, "/w")


def test_variables_count_where_no_option_is_given() -> None:
    variables = {"SLURM_STDOUTMODE": "v.log", "SLURM_STDERRMODE": "v.err"}
    assert output_patterns(["-o", "a.log"], variables, "/w")[0] == ["a.log", "v.err"]


def test_a_step_with_a_folder_of_its_own_writes_there() -> None:
    assert output_patterns(["-D", "/data", "-oa", "x"], {}, "/w") == (["a"], "/data")

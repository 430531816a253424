"""Small synthetic images for the demo's projects."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .demo import PROJECTS

SIDE = 24
SUBJECTS = 2


def make_sample_archive(root: Path, projects: Iterable[str] = PROJECTS) -> list[Path]:
    """Write each project's folder under an archive root, as XNAT lays it out, and give the files written.

    The images are tiny synthetic heads; two runs write the same bytes. ImportError without nibabel, OSError
    when the root can't be written.
    """
    nibabel: Any = importlib.import_module("nibabel")
    written: list[Path] = []
    for number, project in enumerate(projects, start=1):
        arc = root / project / "arc001"
        rows = ["session,subject,scan,type,file"]
        for subject in range(1, SUBJECTS + 1):
            session = f"SUBJ{subject:02}_MR1"
            image = arc / session / "SCANS" / "1" / "NIFTI" / "T1w.nii.gz"
            image.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(_head(number, subject), _affine()), image)
            sheet = arc / session / f"{session}.xml"
            sheet.write_text(_session_xml(project, subject, session), encoding="utf-8")
            rows.append(f"{session},SUBJ{subject:02},1,T1w,{image.relative_to(arc)}")
            written += [image, sheet]
        table, readme = arc / "sessions.csv", arc / "README.txt"
        table.write_text("\n".join(rows) + "\n", encoding="utf-8")
        readme.write_text(
            f"Project {project}: {SUBJECTS} synthetic MR sessions, made by xnathub for demos and tests.\n"
            "sessions.csv lists the images. Nobody was scanned for them.\n",
            encoding="utf-8",
        )
        written += [table, readme]
    return written


def _head(project: int, subject: int) -> Any:
    """A bright skull, a grey brain, and a cube whose brightness tells project and subject apart."""
    numpy: Any = importlib.import_module("numpy")
    x, y, z = numpy.mgrid[0:SIDE, 0:SIDE, 0:SIDE] - (SIDE - 1) / 2
    radius = numpy.sqrt(x**2 + (y * 0.85) ** 2 + z**2)
    volume = numpy.zeros((SIDE, SIDE, SIDE), dtype=numpy.int16)
    volume[radius < 10] = 900
    volume[radius < 8.5] = 400
    volume[10:14, 10:14, 10:14] = 1000 * project + 100 * subject
    return volume


def _affine() -> Any:
    numpy: Any = importlib.import_module("numpy")
    return numpy.diag([8.0, 8.0, 8.0, 1.0])


def _session_xml(project: str, subject: int, session: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<xnat:MRSession xmlns:xnat="http://nrg.wustl.edu/xnat" project="{project}" label="{session}">\n'
        f"  <xnat:subject_ID>SUBJ{subject:02}</xnat:subject_ID>\n"
        '  <xnat:scans><xnat:scan ID="1" type="T1w"/></xnat:scans>\n'
        "</xnat:MRSession>\n"
    )

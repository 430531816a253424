"""Small synthetic images for the demo's projects."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .demo import PROJECTS, SESSIONS
from .dicom import write_series

SIDE = 64
SLICES = 12
"""How many of a volume's slices its DICOM series has."""


def make_sample_archive(root: Path, projects: Iterable[str] = PROJECTS) -> list[Path]:
    """Write each project's folder under an archive root, as XNAT lays it out, and give the files written.

    The images are small synthetic heads, each as NIfTI and as a DICOM series; two runs write the same bytes. ImportError
    without nibabel or pydicom, OSError when the root can't be written.
    """
    nibabel: Any = importlib.import_module("nibabel")
    written: list[Path] = []
    for number, project in enumerate(projects, start=1):
        arc = root / project / "arc001"
        rows = ["session,subject,scan,type,file"]
        for of, (session, subject) in enumerate(SESSIONS.items(), start=1):
            voxels = _head(number, of)
            image = arc / session / "SCANS" / "1" / "NIFTI" / "T1w.nii.gz"
            image.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(voxels, _affine()), image)
            series = write_series(
                arc / session / "SCANS" / "2" / "DICOM",
                voxels[:, :, :: SIDE // SLICES][:, :, :SLICES],
                session,
            )
            sheet = arc / session / f"{session}.xml"
            sheet.write_text(_session_xml(project, subject, session), encoding="utf-8")
            rows.append(f"{session},{subject},1,T1w,{image.relative_to(arc)}")
            rows.append(f"{session},{subject},2,T1w,{series[0].parent.relative_to(arc)}")
            written += [image, *series, sheet]
        table, readme = arc / "sessions.csv", arc / "README.txt"
        table.write_text("\n".join(rows) + "\n", encoding="utf-8")
        readme.write_text(
            f"Project {project}: {len(SESSIONS)} synthetic MR sessions, made by xnathub for demos and tests.\n"
            "sessions.csv lists the images. Nobody was scanned for them.\n",
            encoding="utf-8",
        )
        written += [table, readme]
    return written


def _head(project: int, subject: int) -> Any:
    """A bright skull, a grey brain with dark ventricles, and a cube whose brightness tells project and subject apart."""
    numpy: Any = importlib.import_module("numpy")
    x, y, z = (numpy.mgrid[0:SIDE, 0:SIDE, 0:SIDE] - (SIDE - 1) / 2) * (24 / SIDE)
    radius = numpy.sqrt(x**2 + (y * 0.85) ** 2 + z**2)
    volume = numpy.zeros((SIDE, SIDE, SIDE), dtype=numpy.int16)
    volume[radius < 10] = 900
    volume[radius < 8.5] = 120
    # A folded surface.
    volume[radius < 7.8 + 0.4 * numpy.sin(9 * numpy.arctan2(y, x)) * numpy.cos(7 * z / 10)] = 500
    volume[radius < 6.2] = 620
    for side in (-1, 1):
        volume[
            ((x - side * 1.6) / (0.6 + 0.3 * subject)) ** 2 + ((y - 0.5) / 3) ** 2 + (z / 1.8) ** 2 < 1
        ] = 100
    half = SIDE // 16
    middle = slice(SIDE // 2 - half, SIDE // 2 + half)
    volume[middle, middle, SIDE // 4 : SIDE // 4 + half] = 1000 * project + 100 * subject
    return volume


def _affine() -> object:
    numpy: Any = importlib.import_module("numpy")
    return numpy.diag([192 / SIDE] * 3 + [1.0])


def _session_xml(project: str, subject: str, session: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<xnat:MRSession xmlns:xnat="http://nrg.wustl.edu/xnat" project="{project}" label="{session}">\n'
        f"  <xnat:subject_ID>{subject}</xnat:subject_ID>\n"
        '  <xnat:scans><xnat:scan ID="1" type="T1w"/><xnat:scan ID="2" type="T1w"/></xnat:scans>\n'
        "</xnat:MRSession>\n"
    )

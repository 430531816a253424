"""DICOM files of the demo's sessions."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

_ROOT = "1.2.826.0.1.3680043.8.498"
"""The root that pydicom gives to whoever has none of their own."""

_MR = "1.2.840.10008.5.1.4.1.1.4"
"""MR Image Storage."""


def write_series(folder: Path, voxels: Any, session: str) -> list[Path]:
    """Write a volume as a series of one file for each slice, and return the files in their order.

    ImportError without pydicom, OSError where the folder can't be written.
    """
    dataset: Any = importlib.import_module("pydicom.dataset")
    uid: Any = importlib.import_module("pydicom.uid")
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(voxels.shape[2]):
        # The same identifiers each time.
        of_slice = uid.generate_uid(
            prefix=f"{_ROOT}.", entropy_srcs=[str(folder.parents[3].name), session, str(number)]
        )
        meta = dataset.FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = _MR, of_slice
        meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        one = dataset.Dataset()
        one.file_meta = meta
        one.SOPClassUID, one.SOPInstanceUID = _MR, of_slice
        one.PatientName = one.PatientID = "Nobody"
        one.StudyID, one.Modality, one.SeriesNumber = session, "MR", 2
        one.SeriesDescription, one.InstanceNumber = "T1w, synthetic", number + 1
        one.StudyInstanceUID = uid.generate_uid(prefix=f"{_ROOT}.", entropy_srcs=[session])
        one.SeriesInstanceUID = uid.generate_uid(prefix=f"{_ROOT}.", entropy_srcs=[session, "2"])
        pixels = voxels[:, :, number].T.astype("<u2")
        one.Rows, one.Columns = pixels.shape
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
        one.PixelData = pixels.tobytes()
        files.append(folder / f"{number + 1:03}.dcm")
        one.save_as(files[-1], enforce_file_format=True)
    return files

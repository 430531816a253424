"""A dashboard of Panel: one of the project's volumes, slice by slice."""

import os
from pathlib import Path

import nibabel
import panel
from matplotlib.figure import Figure

panel.extension(sizing_mode="stretch_width")

folder = os.environ["XNAT_DATA"]
files = {
    Path(path).parents[2].name: Path(path, name)
    for path, _, names in os.walk(folder, followlinks=True)
    for name in names
    if name.endswith(".nii.gz")
}
session = panel.widgets.Select(name="Session", options=sorted(files))
slices = nibabel.load(next(iter(files.values()))).shape[2]
number = panel.widgets.IntSlider(name="Slice", start=0, end=slices - 1, value=slices // 2)


def picture(session: str, number: int) -> Figure:
    """Return a picture of one slice of a session's volume."""
    figure = Figure(figsize=(5, 5))
    axes = figure.subplots()
    axes.imshow(nibabel.load(files[session]).get_fdata()[:, :, number].T, cmap="gray", origin="lower")
    axes.axis("off")
    return figure


panel.Column(
    f"# Slices of {os.environ['XNAT_ITEM_ID']}",
    session,
    number,
    panel.pane.Matplotlib(panel.bind(picture, session, number), tight=True),
).servable(title="Slices")

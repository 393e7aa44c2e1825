"""Other programs reading what `cryo-pick export` wrote; nothing of cryo-pick is imported here.

Run as a script by the Python that has the program: ``readers.py READER PATH...`` prints JSON with
the program's version and its points as [run, class, x, y, z, score] in Å, or a volume's shape,
spacing and sum. Where a format does not say the voxel spacing, SPACING does.
"""

import importlib.metadata
import json
import sys
from pathlib import Path
from xml.etree import ElementTree

SPACING = 10.012
TYPES = (
    "apo-ferritin",
    "beta-amylase",
    "beta-galactosidase",
    "ribosome",
    "thyroglobulin",
    "virus-like-particle",
)
SHAPE = (41, 63, 64)
"""z y x of the picked tomograms."""


def starfile_relion5(folder):
    import starfile

    blocks = starfile.read(Path(folder) / "particles.star")
    table = blocks["particles"].merge(blocks["tomograms"], on="rlnTomoName")
    pixel = table.rlnTomoTiltSeriesPixelSize
    xyz = [
        table[f"rlnCenteredCoordinate{a}Angst"] + table[f"rlnTomoSize{a}"] / 2 * pixel
        for a in "XYZ"
    ]
    return star_points(table, xyz, "rlnTomoName")


def starfile_index(folder):
    """RELION 5's two-column index, and each file that it lists."""
    import pandas as pd
    import starfile

    index = starfile.read(Path(folder) / "coordinates.star")
    assert list(index.columns) == ["rlnTomoName", "rlnTomoImportParticleFile"]
    parts = [starfile.read(file) for file in index.rlnTomoImportParticleFile]
    table = pd.concat(parts)
    assert set(table.rlnTomoName) == set(index.rlnTomoName)
    sizes = starfile.read(Path(folder) / "particles.star")["tomograms"]
    table = table.merge(sizes, on="rlnTomoName")
    xyz = [
        table[f"rlnCenteredCoordinate{a}Angst"]
        + table[f"rlnTomoSize{a}"] / 2 * table.rlnTomoTiltSeriesPixelSize
        for a in "XYZ"
    ]
    return star_points(table, xyz, "rlnTomoName")


def starfile_relion4(path):
    import starfile

    blocks = starfile.read(path)
    table = blocks["particles"].merge(blocks["optics"], on="rlnOpticsGroup")
    xyz = [table[f"rlnCoordinate{a}"] * table.rlnTomoTiltSeriesPixelSize for a in "XYZ"]
    return star_points(table, xyz, "rlnTomoName")


def starfile_warp(path):
    import starfile

    table = starfile.read(path)
    assert table.rlnMicrographName.str.endswith(".tomostar").all()
    table["run"] = table.rlnMicrographName.str.removesuffix(".tomostar")
    return star_points(table, [table[f"rlnCoordinate{a}"] * SPACING for a in "XYZ"], "run")


def starfile_star(path):
    import starfile

    table = starfile.read(path)
    xyz = [table[f"rlnCoordinate{a}"] * table.rlnTomoTiltSeriesPixelSize for a in "XYZ"]
    return star_points(table, xyz, "rlnTomoName")


def star_points(table, xyz, run):
    columns = (table[run], table.rlnObjectName, *xyz, table.rlnAutopickFigureOfMerit)
    return [
        [r, n, float(x), float(y), float(z), float(s)]
        for r, n, x, y, z, s in zip(*columns, strict=True)
    ]


def pandas_csv(path):
    import pandas as pd

    table = pd.read_csv(path)
    if "score" not in table:
        table["score"] = 1.0
    return table[["experiment", "particle_type", "x", "y", "z", "score"]].values.tolist()


def pandas_napari(folder):
    import pandas as pd

    points = []
    for file in sorted(Path(folder).glob("*.csv")):
        for row in pd.read_csv(file).to_dict("records"):
            xyz = [row[f"axis-{i}"] * SPACING for i in (2, 1, 0)]
            points.append([file.stem, row["particle_type"], *xyz, row["score"]])
    return points


def pandas_imod(folder):
    import pandas as pd

    points = []
    for file in sorted(Path(folder).glob("*.txt")):
        table = pd.read_csv(file, sep=r"\s+", header=None)
        for kind, _, x, y, z, score in table.values.tolist():
            xyz = [(x - 0.5) * SPACING, (y - 0.5) * SPACING, z * SPACING]
            points.append([file.stem, TYPES[int(kind) - 1], *xyz, score])
    return points


def json_eman(folder):
    points = []
    for file in sorted(Path(folder).glob("*_info.json")):
        info = json.loads(file.read_text())
        for x, y, z, _, score, kind in info["boxes_3d"]:
            boxer = [
                (v / SPACING * info["apix_unbin"] + n // 2) * SPACING
                for v, n in zip((x, y, z), SHAPE[::-1], strict=True)
            ]
            name = info["class_list"][str(kind)]["name"]
            points.append([file.name.removesuffix("_info.json"), name, *boxer, score])
    return points


def xml_chimerax(folder):
    points = []
    for file in sorted(Path(folder).glob("*.cmm")):
        for marker_set in ElementTree.parse(file).getroot():
            for marker in marker_set:
                xyz = [float(marker.get(a)) for a in "xyz"]
                row = [file.stem, marker_set.get("name"), *xyz, float(marker.get("score"))]
                points.append(row)
    return points


def dynamotable_tbl(path):
    import dynamotable

    table = dynamotable.read(path)
    doc = Path(path).with_suffix(".doc").read_text().split()
    runs = dict(zip(map(int, doc[::2]), doc[1::2], strict=True))
    return [
        [runs[int(r["tomo"])], TYPES[int(r["class"]) - 1]]
        + [float(r[a]) * SPACING for a in "xyz"]
        + [float(r["cc"])]
        for r in table.to_dict("records")
    ]


def copick_star(path, tomograms, version):
    """copick's own reader of RELION's particles, with the tomograms' centres."""
    import starfile
    from copick.util.formats import read_relion_tomograms
    from copick.util.handlers.picks.star import STARPicksHandler

    known = read_relion_tomograms(tomograms)
    how = {"tomograms": known, "relion_version": f"relion{version}"}
    place, *_ = STARPicksHandler().read(path, None, **how)
    table = starfile.read(path)["particles"]
    return star_points(table, list(place.T), "rlnTomoName")


def copick_dynamo(path):
    from copick.util.formats import read_dynamo_table_grouped

    doc = Path(path).with_suffix(".doc").read_text().split()
    runs = dict(zip(map(int, doc[::2]), doc[1::2], strict=True))
    found = read_dynamo_table_grouped(path, SPACING, runs)
    table = dynamotable_tbl(path)
    names = {run: [row[1] for row in table if row[0] == run] for run in found}
    return [
        [run, name, *map(float, xyz), float(score)]
        for run, (place, _, scores) in found.items()
        for name, xyz, score in zip(names[run], place, scores, strict=True)
    ]


def copick_picks(config, user):
    import copick

    root = copick.from_file(config)
    points = []
    for run in root.runs:
        for picks in run.get_picks(user_id=user):
            name = picks.pickable_object_name
            for p in picks.points:
                points.append([run.name, name, p.location.x, p.location.y, p.location.z, p.score])
    return points


def copick_objects(config):
    import copick

    root = copick.from_file(config)
    return [[o.name, o.label, o.radius, list(o.color), o.metadata] for o in root.pickable_objects]


def copick_volume(config, run, tomo_type):
    import copick

    spacing = copick.from_file(config).get_run(run).voxel_spacings[0]
    volume = spacing.get_tomograms(tomo_type)[0].numpy()
    return [*map(int, volume.shape), float(spacing.voxel_size), float(volume.astype(float).sum())]


def ome_zarr_volume(path):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    node = next(iter(Reader(parse_url(path))()))
    volume = node.data[0].compute()
    scale = node.metadata["coordinateTransformations"][0][0]["scale"][0]
    return [*map(int, volume.shape), float(scale), float(volume.astype(float).sum())]


def mrcfile_volume(path):
    import io

    import mrcfile

    assert mrcfile.validate(path, print_file=io.StringIO())
    with mrcfile.open(path) as file:
        shape = [int(n) for n in file.data.shape]
        return [*shape, float(file.voxel_size.x), float(file.data.astype(float).sum())]


PACKAGES = {
    "starfile": "starfile", "pandas": "pandas", "dynamotable": "dynamotable", "copick": "copick",
    "ome": "ome-zarr", "mrcfile": "mrcfile",
}  # fmt: skip


def read(reader, *arguments):
    """What a reader returns, with its program and version."""
    package = PACKAGES.get(reader.split("_")[0])
    version = f"Python {sys.version.split()[0]}"
    if package:
        version = f"{package} {importlib.metadata.version(package)}"
    return {"version": version, "points": globals()[reader](*arguments)}


if __name__ == "__main__":
    print(json.dumps(read(*sys.argv[1:])))

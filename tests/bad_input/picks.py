"""Bad picks: CSV and STAR files that `evaluate` is given."""

from __future__ import annotations

from tests.bad_input.case import case
from tests.bad_input.scene import Scene, edit_json, evaluate

CSV, STAR = "Picks as CSV", "Picks as STAR"
HEADER = "id,experiment,particle_type,x,y,z,score\n"


def _csv(scene: Scene, content: str | bytes) -> list[str]:
    return evaluate(scene, scene.text("picks.csv", content))


def _row(scene: Scene, row: str) -> list[str]:
    return _csv(scene, f"{HEADER}{row}\n")


@case(CSV, "a file that is not there", 3, "nowhere.csv", "No such file")
def _(scene: Scene) -> list[str]:
    return evaluate(scene, scene.root / "nowhere.csv")


@case(CSV, "an empty file", 3, "picks.csv", "line 1", "expected the header", "x,y,z")
def _(scene: Scene) -> list[str]:
    return _csv(scene, "")


@case(CSV, "no header", 3, "picks.csv: line 1", "expected the header", "'0,TS_1,ribosome")
def _(scene: Scene) -> list[str]:
    return _csv(scene, "0,TS_1,ribosome,1,2,3,0.5\n")


@case(CSV, "a column that is missing", 3, "picks.csv: line 1", "found no z")
def _(scene: Scene) -> list[str]:
    return _csv(scene, "experiment,particle_type,x,y\nTS_1,ribosome,1,2\n")


@case(CSV, "a column twice", 3, "picks.csv: line 1", "column x occurs twice")
def _(scene: Scene) -> list[str]:
    return _csv(scene, "experiment,particle_type,x,x,y,z\nTS_1,ribosome,1,1,2,3\n")


@case(CSV, "a row cut short", 3, "picks.csv", "line 2", "expected 7 fields, but found 5")
def _(scene: Scene) -> list[str]:
    return _row(scene, "0,TS_1,ribosome,1,2")


@case(CSV, "a coordinate in words", 3, "line 2", "`y` must be a finite number", "'two'")
def _(scene: Scene) -> list[str]:
    return _row(scene, "0,TS_1,ribosome,1,two,3,0.5")


@case(CSV, "a coordinate that is NaN", 3, "line 2", "`x` must be a finite number", "'nan'")
def _(scene: Scene) -> list[str]:
    return _row(scene, "0,TS_1,ribosome,nan,2,3,0.5")


@case(CSV, "a decimal comma", 3, "line 2", "expected 7 fields, but found 8")
def _(scene: Scene) -> list[str]:
    return _row(scene, "0,TS_1,ribosome,1,5,2,3,0.5")


@case(CSV, "a score without end", 3, "line 2", "`score` must be a finite number", "'1e999'")
def _(scene: Scene) -> list[str]:
    return _row(scene, "0,TS_1,ribosome,1,2,3,1e999")


@case(CSV, "a class that is not of the project", 3, "line 2", "'ribosom'", "closest: ribosome")
def _(scene: Scene) -> list[str]:
    return _row(scene, "0,TS_1,ribosom,1,2,3,0.5")


@case(CSV, "no run name", 3, "picks.csv", "line 2", "no run name")
def _(scene: Scene) -> list[str]:
    return _row(scene, "0,,ribosome,1,2,3,0.5")


@case(CSV, "many bad rows", 3, "problems", "line 2", "line 11", "and 2 more")
def _(scene: Scene) -> list[str]:
    return _csv(scene, HEADER + "0,TS_1,ribosome,a,b,c,0.5\n" * 12)


@case(CSV, "a spreadsheet", 3, "picks.csv", "no text file", "not UTF-8")
def _(scene: Scene) -> list[str]:
    return _csv(scene, b"PK\x03\x04\xff\xfe")


@case(CSV, "text with zero bytes", 3, "picks.csv", "no text file", "zero byte")
def _(scene: Scene) -> list[str]:
    return _csv(scene, HEADER.encode() + b"0,TS_1,ribosome,1,2,3,\0\n")


@case(CSV, "another ending", 3, "picks.txt", "expected picks as .csv, .star", "got a .txt")
def _(scene: Scene) -> list[str]:
    return evaluate(scene, scene.text("picks.txt", HEADER))


@case(CSV, "as truth, without radii", 2, "truth.csv", "radius and weight", "--objects czii")
def _(scene: Scene) -> list[str]:
    path = str(scene.text("truth.csv", f"{HEADER}0,TS_1,ribosome,1,2,3,1\n"))
    return ["evaluate", path, path]


@case(CSV, "as truth, without a row", 3, "truth.csv", "expected true picks", "got none")
def _(scene: Scene) -> list[str]:
    path = str(scene.text("truth.csv", HEADER))
    return ["evaluate", path, path, "--objects", "czii"]


@case(CSV, "objects from nowhere", 2, "--objects", "nosuch", "czii, project, or")
def _(scene: Scene) -> list[str]:
    return evaluate(scene, scene.text("picks.csv", HEADER), "--objects", str(scene.root / "nosuch"))


@case(CSV, "a truth whose every class has weight 0", 2, "score weight 0", "score_weight above 0")
def _(scene: Scene) -> list[str]:
    metadata = {"metadata": {"score_weight": 0}}
    names = [(1, "ribosome", 150), (2, "apo-ferritin", 60)]
    objects = [{"label": n, "name": name, "radius": r} | metadata for n, name, r in names]
    edit_json(scene.config, pickable_objects=objects)
    return _row(scene, "0,TS_1,ribosome,1,2,3,0.5")


COLUMNS = ("rlnTomoName", "rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ",
           "rlnTomoTiltSeriesPixelSize", "rlnObjectName")  # fmt: skip


def _star(scene: Scene, *rows: str, columns: tuple[str, ...] = COLUMNS) -> list[str]:
    lines = ["data_particles", "loop_", *(f"_{name}" for name in columns), *rows]
    return evaluate(scene, scene.text("picks.star", "\n".join(lines) + "\n"))


@case(STAR, "text that is no STAR", 3, "picks.star", "line 1", "starts with data_")
def _(scene: Scene) -> list[str]:
    return evaluate(scene, scene.text("picks.star", "x y z\n1 2 3\n"))


@case(STAR, "no block", 3, "picks.star", "no data_ block")
def _(scene: Scene) -> list[str]:
    return evaluate(scene, scene.text("picks.star", "# nothing\n"))


@case(STAR, "no coordinates", 3, "picks.star", "expected a block with rlnCoordinateX",
      "found data_particles (1 columns)")  # fmt: skip
def _(scene: Scene) -> list[str]:
    return _star(scene, "TS_1", columns=COLUMNS[:1])


@case(STAR, "no pixel size", 3, "line 8", "no column rlnTomoTiltSeriesPixelSize", "unknown")
def _(scene: Scene) -> list[str]:
    columns = tuple(c for c in COLUMNS if "Pixel" not in c)
    return _star(scene, "TS_1 1 2 3 ribosome", columns=columns)


@case(STAR, "a pixel size of 0", 3, "line 9", "pixel size above 0 Å, but got 0")
def _(scene: Scene) -> list[str]:
    return _star(scene, "TS_1 1 2 3 0 ribosome")


@case(STAR, "a row cut short", 3, "picks.star", "line 9", "expected 6 values, but got 4")
def _(scene: Scene) -> list[str]:
    return _star(scene, "TS_1 1 2 3")


@case(STAR, "a coordinate in words", 3, "line 9", "`rlnCoordinateY`", "finite number", "'two'")
def _(scene: Scene) -> list[str]:
    return _star(scene, "TS_1 1 two 3 10 ribosome")


@case(STAR, "no run", 3, "picks.star", "no column rlnTomoName or rlnMicrographName")
def _(scene: Scene) -> list[str]:
    return _star(scene, "1 2 3 10 ribosome", columns=COLUMNS[1:])


@case(STAR, "no class, where there are two", 3, "no column rlnObjectName", "apo-ferritin")
def _(scene: Scene) -> list[str]:
    return _star(scene, "TS_1 1 2 3 10", columns=COLUMNS[:-1])


@case(STAR, "a class that is not of the project", 3, "line 9", "'80S'", "known: apo-ferritin")
def _(scene: Scene) -> list[str]:
    return _star(scene, "TS_1 1 2 3 10 80S")


@case(STAR, "a label twice", 3, "line 9", "_rlnTomoName occurs twice in data_particles")
def _(scene: Scene) -> list[str]:
    return _star(scene, columns=(*COLUMNS, "rlnTomoName"))


@case(STAR, "a second loop in a block", 3, "line 10", "a second loop_ in block data_particles")
def _(scene: Scene) -> list[str]:
    return _star(scene, "TS_1 1 2 3 10 ribosome", "loop_")


@case(STAR, "a line without end", 3, "line 9", "longer than 20000 characters")
def _(scene: Scene) -> list[str]:
    return _star(scene, "TS_1 " * 10000)

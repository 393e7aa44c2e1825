"""What a reviewer said reaches the training: as truth, and as places to look at again."""

from __future__ import annotations

import numpy as np
import pytest

from cryo_pick.config import compose
from cryo_pick.formats.copick import open_project
from cryo_pick.formats.copick_picks import ACCEPTED, REJECTED
from cryo_pick.picks import Picks
from cryo_pick.pipeline.dataset import load_dataset, with_accepted
from cryo_pick.pipeline.identity import judged_places


def test_accepted_picks_are_new_only_where_no_particle_of_their_class_is_near():
    truth = Picks([[0.0, 0, 0], [0, 0, 100]], [0, 1])
    accepted = Picks([[0.0, 0, 25], [0, 0, 35], [0, 0, 100]], [0, 0, 0])
    joined = with_accepted(truth, accepted, np.array([60.0, 60.0]))
    assert joined.positions.tolist() == [[0, 0, 0], [0, 0, 100], [0, 0, 35], [0, 0, 100]]
    assert joined.classes.tolist() == [0, 1, 0, 0]
    assert len(with_accepted(truth, Picks.empty(), np.array([60.0, 60.0]))) == 2


def test_a_review_is_learnt_from_where_it_is_asked_for(own_project, caplog):
    project = open_project(own_project)
    first, second = project.runs[:2]
    new = Picks([[5.0, 5.0, 5.0]], [0])
    none = Picks([[700.0, 700.0, 700.0]], [1])
    project.write_picks(first, new, "anna", ACCEPTED)
    project.write_picks(first, none, "anna", REJECTED)
    plain = load_dataset(compose([f"data.project={own_project}"]))
    asked = load_dataset(compose([f"data.project={own_project}", "data.review_user=anna"]))
    assert len(plain.runs[first].reviewed) == 0
    assert asked.runs[first].reviewed.tolist() == [[5, 5, 5], [700, 700, 700]]
    assert len(asked.runs[first].truth) == len(plain.runs[first].truth) + 1
    assert len(asked.runs[second].truth) == len(plain.runs[second].truth)
    # Another review is another training; none is the training that it was.
    assert judged_places(list(plain.runs.values())) == []
    assert len(judged_places(list(asked.runs.values()))) == 1


def test_a_run_without_truth_is_no_truth_for_being_reviewed(own_project, caplog):
    project = open_project(own_project)
    run = project.runs[0]
    for file in (own_project / "overlay/ExperimentRuns" / run / "Picks").glob("*.json"):
        file.unlink()
    for file in (own_project / "static/ExperimentRuns" / run).glob("Picks/*.json"):
        file.unlink()
    project.write_picks(run, Picks([[5.0, 5.0, 5.0]], [0]), "anna", ACCEPTED)
    data = load_dataset(compose([f"data.project={own_project}", "data.review_user=anna"]))
    assert len(data.runs[run].truth) == 0
    assert "its review is left out" in caplog.text


@pytest.mark.parametrize("share", ["-0.1", "1.1"])
def test_a_share_is_a_share(share, capsys):
    from cryo_pick.cli import main

    assert main(["train", "p", f"refiner.review_share={share}"]) == 2
    assert "refiner.review_share" in capsys.readouterr().err

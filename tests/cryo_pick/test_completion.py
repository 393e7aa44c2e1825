"""The script that completion prints works in a shell."""

import shutil
import subprocess

import pytest

from cryo_pick.cli import main

ASK = """
{script}
COMP_WORDS=({words}) COMP_CWORD=$(({n} - 1)) COMP_LINE="{words}"
_shtab_cryo_pick cryo-pick "${{COMP_WORDS[COMP_CWORD]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["cryo-pick", "pre"], ["predict"]),
        (["cryo-pick", "predict", "--over"], ["--overwrite"]),
        (["cryo-pick", "view", "--pi"], ["--picks"]),
    ],
)
def test_bash_completes_commands_and_flags(words, expected, capsys):
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    text = ASK.format(script=script, words=" ".join(words), n=len(words))
    done = subprocess.run(
        ["bash", "--norc", "-c", text], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == expected


@pytest.mark.parametrize("shell", ["zsh", "fish", "tcsh"])
def test_other_shells_get_a_script_of_their_own(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "predict" in script
    assert "overwrite" in script


def test_a_shell_that_is_not_known(capsys):
    assert main(["completion", "cmd"]) == 2
    assert "bash" in capsys.readouterr().err

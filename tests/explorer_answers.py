"""The page's own modules asked in node: what they answer, and the description that they were given."""

import json
import shutil
import subprocess
from pathlib import Path

from ncp.explore import bundle, describe

ASK = Path(__file__).with_name("explorer_ask.mjs")
NODE = shutil.which("node")


def described(predictors, machines=()):
    """Description and numbers as a page holds them, of (predictor, family) pairs; that of the setting ``mine`` is of a file."""
    block = describe.Arrays()
    given = [describe.Given(p, family, "mine.safetensors" * (p.setting == "mine")) for p, family in predictors]
    content = describe.description(given, [(machine, "mine.safetensors") for machine in machines], block)
    return {"description": content, "numbers": bundle.packed(block.joined())}


def ask(folder, content, *questions):
    """One answer for each question; see ``explorer_ask.mjs`` for what may be asked."""
    file = folder / "questions.json"
    file.write_text(json.dumps({**content, "questions": questions}))
    done = subprocess.run(
        [NODE, str(ASK), str(bundle.PAGE), str(file)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)

"""The page as one file: modules joined, numbers packed, nothing in the texts that could become markup or a request."""

import base64
import hashlib
import html
import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from explorer_answers import NODE

from ncp.errors import UserError
from ncp.explore import bundle, describe
from ncp.predictors import load
from ncp.spaces.polynomial import Polynomial

MODULES = {
    "main": 'import { twice as two } from "./b.js";\nimport { one, Thing } from "./a.js";\n'
    "console.log(two(one), new Thing().name);\n",
    "b": 'import { one } from "./a.js";\nexport function twice(x) {\n  return 2 * x + one;\n}\n',
    "a": 'export const one = 1;\nexport class Thing {\n  get name() { return "thing"; }\n}\nconst two = 2;\nvoid two;\n',
}


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_joined_modules_do_what_the_modules_do():
    script = bundle.joined("main", MODULES.__getitem__)
    said = subprocess.run([NODE, "-e", script], capture_output=True, text=True, check=True).stdout
    assert said == "3 thing\n"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"b": 'import { none } from "./a.js";\n'}, "does not export"),
        ({"a": 'import { twice } from "./b.js";\nexport const one = 1;\n'}, "cycle"),
        ({"a": "export default 1;\n"}, "another way"),
        ({"a": 'import fs from "node:fs";\nexport const one = 1;\nexport class Thing {}\n'}, "another way"),
    ],
)
def test_what_cannot_be_joined_is_an_error(change, part):
    with pytest.raises(ValueError, match=part):
        bundle.joined("main", {**MODULES, **change}.__getitem__)


def test_every_module_of_the_page_is_in_it():
    names = {path.stem for path in bundle.PAGE.glob("*.js")}
    both = bundle.joined("main") + bundle.joined("worker")
    assert names == set(re.findall(r"^// (\w+)\.js$", both, re.MULTILINE))


def test_arrays_are_kept_exactly_in_the_shortest_type():
    block = describe.Arrays()
    arrays = {2: np.array([0.5, -3.25, 65504.0]), 4: np.float32([0.1, 1e30]), 8: np.array([0.1, 1e300])}
    for width, array in arrays.items():
        where = block.add(array)
        assert (where["bytes"], where["count"]) == (width, len(array))
        planes = np.frombuffer(block.joined(), np.uint8)[where["at"] :][: width * len(array)].reshape(width, -1)
        kind = {2: "<f2", 4: "<f4", 8: "<f8"}[width]
        assert np.frombuffer(planes.T.tobytes(), kind).tolist() == array.tolist()
    assert len(block.joined()) % 4 == 0


def test_terms_say_a_polynomial():
    x, y = Polynomial.variables(2)
    assert sorted(describe.terms(3 * x * x * y + 2 * y + 5)) == [[2, 1], [3, 0, 0, 1], [5]]
    assert describe.terms(4) == [[4]]


def page_of(predictor):
    block = describe.Arrays()
    return bundle.page(describe.description([describe.Given(predictor)], [], block), block.joined())


def test_texts_of_a_card_cannot_leave_the_description():
    predictor = load("3ddet").select(["moderate"])
    predictor.card = replace(predictor.card, source="</script><script>alert(1)</script><!-- & {{SCRIPT}}")
    text = page_of(predictor)
    assert "</script><script>alert" not in text
    assert text.count("</script>") == 4  # three blocks of data and the page's own
    own = text.rpartition("<script>")[2].partition("</script>")[0]
    [policy] = re.findall(r'Policy" content="([^"]*)"', text)
    digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}' blob:" in html.unescape(policy)
    assert "default-src 'none'" in policy.replace("&#x27;", "'")
    assert "connect-src" not in policy  # what is not named falls to default-src: none


def test_the_page_names_no_address():
    text = page_of(load("3ddet"))
    data = re.sub(r'<script type="text/plain" id="numbers-packed">.*?</script>', "", text, flags=re.DOTALL)
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", data)) - {"http://www.w3.org/2000/svg"}
    assert not addresses
    assert not re.search(r'(src|href)="(?!#)', data)


def test_other_spaces_and_kinds_are_refused():
    predictor = load("3ddet").select(["moderate"])
    predictor.card = replace(predictor.card, space="nasbench201")
    with pytest.raises(UserError, match="is of space 'nasbench201'"):
        page_of(predictor)
    predictor.card = replace(predictor.card, space="multires", kind="forest")
    with pytest.raises(UserError, match="of kind 'forest'"):
        page_of(predictor)

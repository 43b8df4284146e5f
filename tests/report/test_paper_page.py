"""The page of claims: every claim a row with its verdict, counted as they are."""

from types import SimpleNamespace

from ncp.paper.claims import CLAIMS
from ncp.paper.claims.claim import HOLDS, NOT, PART
from ncp.report import paper_page


def test_every_claim_is_a_row_and_verdicts_are_counted(tmp_path):
    verdicts = [HOLDS, NOT, PART, HOLDS]
    checked = [
        SimpleNamespace(claim=claim, measured=SimpleNamespace(verdict=verdict, text=f"gain {i} ± .{i}"))
        for i, (claim, verdict) in enumerate(
            zip(CLAIMS.values() if isinstance(CLAIMS, dict) else CLAIMS, verdicts, strict=False)
        )
    ]
    picture = tmp_path / "figure7.png"
    picture.write_bytes(b"\x89PNG not looked into")
    path = paper_page.write([], checked, tmp_path / "page.md", 7, picture)
    text = path.read_text()
    rows = [line for line in text.splitlines() if line.startswith("|") and "gain" in line]
    assert len(rows) == 4
    for row, each in zip(rows, checked, strict=True):
        assert each.claim.text in row
        assert f"| {each.measured.verdict} |" in row
        assert each.measured.text in row
    head = text[text.index("## Claims") :].splitlines()[2]
    assert head.startswith("4 claims: 2 holds, 1 holds in part, 1 does not hold. ")
    assert "over 7 starts or seeds" in head
    assert (tmp_path / "page.png").read_bytes() == picture.read_bytes()
    assert "](page.png)" in text
    assert "## Tables" not in text

"""Section 3.2 and appendix A: the benchmark itself, and what is odd about the released tables and the printed ones."""

from __future__ import annotations

import numpy as np

from ncp import runs
from ncp.benchmark import settings
from ncp.paper import printed
from ncp.paper.claims.claim import HOLDS, NOT, PART, UNKNOWN, Claim, Measured, verdict
from ncp.paper.claims.lab import Lab, stated_error
from ncp.paper.searches import TASKS
from ncp.spaces import cost, found

ABSENT = Measured(UNKNOWN, "the released tables are not imported")


def space_size(lab: Lab) -> Measured:
    """Codes with b, n in 1..4 and channels in 8..128."""
    space = lab.space
    levels = np.rint((space.upper - space.lower) / space.step) + 1
    exponent = float(np.log10(levels).sum())
    return Measured(HOLDS if 23 <= exponent < 24 else PART, f"10^{exponent:.1f} codes", {"exponent": exponent})


def figure4(lab: Lab) -> Measured:
    """On the rows of the one large run of 3ddet, and on all shared rows."""
    from ncp.benchmark.statistics import figure4 as correlate

    tables = lab.judges.benchmark()
    if tables is None:
        return ABSENT
    stated = printed.statistics().spearman
    run, every = (correlate(tables, rows) for rows in ("paper", "all"))
    near, far = (float(np.abs(c.matrix - stated).max()) for c in (run, every))
    text = (
        f"largest difference {near:.3f} on the {run.rows:,} rows of 3ddet's one large run, {far:.3f} on all "
        f"{every.rows:,} shared rows"
    )
    return Measured(verdict(near < 0.03), text, {"run": near, "all": far})


def table6(lab: Lab) -> Measured:
    """Means and standard deviations."""
    from ncp.benchmark.statistics import table6 as summarise

    tables = lab.judges.benchmark()
    if tables is None:
        return ABSENT
    stated, lines = printed.statistics(), summarise(tables)
    mean = max(abs(line.mean - stated.mean[stated.settings.index(line.setting)]) for line in lines)
    std = max(abs(line.std - stated.std[stated.settings.index(line.setting)]) for line in lines)
    rows = next(line.rows for line in lines if line.setting == "3ddet")
    text = (
        f"means within {mean:.2f}, standard deviations within {std:.2f} points; 3dDet's are those of {rows:,} "
        "rows of one run, not of 2,500"
    )
    return Measured(verdict(False, mean < 0.3), text, {"mean": float(mean), "std": float(std)})


def losses(lab: Lab) -> Measured:
    """The errors of predictors on rows that they did not see."""
    stated, below, told, figures = printed.statistics(), [], [], {}
    for i, name in enumerate(stated.settings):
        both = [stated_error(name, family) for family in ("paper", "default")]
        below.append(min(both) <= stated.loss[i] * 1.02)
        told.append(f"{name} {stated.loss[i]:.2f} | {both[0]:.2f}, {both[1]:.2f}")
        figures[name] = float(both[0])
    text = f"printed | the paper's predictor and the default one in cross-validation: {'; '.join(told)}"
    return Measured(verdict(all(below), any(below)), text, figures)


def proxies(lab: Lab) -> Measured:
    """Ten epochs against a hundred."""
    from ncp.benchmark.statistics import spearman

    tables = lab.judges.benchmark()
    if tables is None:
        return ABSENT
    values = tables.aligned([("cls-50-1000", "top1"), ("cls-10c", "top1")], rows="all")[1]
    rho = float(spearman(values)[0, 1])
    return Measured(verdict(rho < 0.7), f"rank correlation {rho:.2f} over {len(values):,} networks", {"spearman": rho})


def metrics(lab: Lab) -> Measured:
    """mIoU, mAcc and aAcc."""
    from ncp.benchmark.statistics import figure5b

    table = lab.judges.table("seg")
    if table is None:
        return ABSENT
    matrix = figure5b(table).correlation.matrix
    low = float(matrix.min())
    return Measured(verdict(low > 0.9, low > 0.5), f"rank correlations {low:.3f} and above", {"least": low})


def epochs(lab: Lab) -> Measured:
    """Checkpoints of 10, 50, 90 epochs."""
    build = runs.invocation("build")
    text = (
        f"the released tables hold final figures only; a build tells, as it keeps every evaluation: {build} setting=cls-50-1000 "
        f"data.root=DATA build.architectures=release, then {build} action=analyse setting=cls-50-1000 build.dir=FOLDER"
    )
    return Measured(UNKNOWN, text)


def flops(lab: Lab) -> Measured:
    """Whose multiply-adds the tables record."""
    table = lab.judges.table("seg")
    if table is None or "flops" not in table.columns:
        return ABSENT
    exact = np.asarray(cost.release_units(table.codes)[0])
    same = float(np.mean(np.abs(exact - table.columns["flops"]) < 1e-6))
    text = (
        f"{same:.1%} of segmentation's rows record those of the 50-class classification network at 128 x 128, "
        "not of what was trained"
    )
    return Measured(NOT if same > 0.9 else HOLDS, text, {"same": same})


def table5(lab: Lab) -> Measured:
    """The caption says error rates."""
    names = ("cls-50-1000", "cls-50-100", "cls-10-1000")
    means = [float(np.median(lab.rows(name))) for name in names]
    stated = [[row.figures[f"{name}.top1"] for row in printed.table(5).rows] for name in names]
    near = all(abs(np.mean(s) - m) < 10 for s, m in zip(stated, means, strict=True))
    text = (
        f"printed {', '.join(f'{np.mean(s):.1f}' for s in stated)} on average; the benchmark's median "
        f"accuracies {', '.join(f'{m:.1f}' for m in means)}"
    )
    return Measured(NOT if near else HOLDS, f"they are accuracies: {text}", dict(zip(names, means, strict=True)))


def table9(lab: Lab) -> Measured:
    """The caption says 112 x 112."""
    code = [list(found.get("ncp_video").code)]
    small, large = (float(cost.release_units(code, size)[0][0]) for size in ((112, 112), (128, 128)))
    row = printed.table(9).of("video")
    assert row is not None
    text = (
        f"the public network of its first NCP row, printed with {row.flops_g} G, has {small:.3f} G at 112 x "
        f"112 and {large:.3f} G at 128 x 128"
    )
    return Measured(NOT if abs(large - (row.flops_g or 0)) < 0.01 else HOLDS, text, {"small": small, "large": large})


def public_networks(lab: Lab) -> Measured:
    """Costs of the codes in the public release against Table 3, and what a judge expects of them."""
    told, figures, close = [], {}, []
    for row in printed.table(3).rows:
        if row.network is None or row.search is None:
            continue
        code = [list(found.get(row.network).code)]
        flops_g, params_m = (float(value[0]) for value in cost.paper_units(code))
        setting = TASKS[row.search]
        name = f"{setting}.{settings.SETTINGS[setting].main}"
        value, doubt = lab.judge(code, setting)[0], lab.doubt(code, setting)[0]
        close.append(abs(value - row.figures[name]) <= 2 * np.hypot(doubt, 1.0))
        told.append(
            f"{row.name} {flops_g:.2f} G, {params_m:.2f} M, {row.figures[name]:.2f} printed, {value:.2f} ± {doubt:.2f} expected"
        )
        figures[row.search] = float(value)
    return Measured(verdict(all(close), any(close)), "; ".join(told), figures)


CLAIMS = (
    Claim("space", "3.2, Table 1", "The space holds 10^23 architectures.", space_size),
    Claim(
        "public-networks",
        "Table 3",
        "The networks whose codes are public reach what is printed of them.",
        public_networks,
    ),
    Claim("correlations", "Figure 4", "The nine settings correlate as printed.", figure4),
    Claim("statistics", "Table 6", "Means and deviations are those of 2,500 networks.", table6),
    Claim("losses", "Table 6", "Predictors reach the printed errors.", losses),
    Claim("proxy", "A.2 (2)", "A ten-epoch proxy does not tell how networks rank in full training.", proxies),
    Claim("metrics", "A.2 (4), Figure 5 (b)", "The three metrics of segmentation go together.", metrics),
    Claim("epochs", "A.2 (2), Figure 5 (a)", "Early checkpoints rank networks otherwise.", epochs),
    Claim("recorded-flops", "released tables", "The FLOPs recorded in each table are those of its task.", flops),
    Claim("table-5", "Table 5", "Its figures are error rates.", table5),
    Claim("table-9", "Table 9", "Its FLOPs are at 112 x 112.", table9),
)

"""Tables of trained architectures: import, store, query, statistics.

>>> import ncp.benchmark
>>> table = ncp.benchmark.load("seg")                          # doctest: +SKIP
>>> table.query("64_64-2_1_2_64-...").metrics["mIoU"]          # doctest: +SKIP
>>> table.best("mIoU", k=5, max_macs=1e9)                      # doctest: +SKIP

Needs numpy; pyarrow only to read and write Parquet files. Never imports a predictor: a caller who has one hands it over.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncp.benchmark.collection import Benchmark
    from ncp.benchmark.importing import from_rows, import_file, import_release
    from ncp.benchmark.loading import load
    from ncp.benchmark.oracles import Oracle, oracle
    from ncp.benchmark.store import folder
    from ncp.benchmark.table import FLAGS, Provenance, Record, Refusal, Table

_WHERE = {
    "Benchmark": "collection",
    "from_rows": "importing",
    "import_file": "importing",
    "import_release": "importing",
    "folder": "store",
    "load": "loading",
    "Oracle": "oracles",
    "oracle": "oracles",
    "FLAGS": "table",
    "Provenance": "table",
    "Record": "table",
    "Refusal": "table",
    "Table": "table",
}
__all__ = [
    "FLAGS",
    "Benchmark",
    "Oracle",
    "Provenance",
    "Record",
    "Refusal",
    "Table",
    "folder",
    "from_rows",
    "import_file",
    "import_release",
    "load",
    "oracle",
]


def __getattr__(name: str) -> Any:  # ``ncp.benchmark.settings`` alone must not bring numpy
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(f"ncp.benchmark.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'ncp.benchmark' has no attribute '{name}'")

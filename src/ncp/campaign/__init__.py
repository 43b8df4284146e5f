"""Train many architectures, on one machine or on a cluster, without losing or doubling one.

A build lives in one folder on a file system that all its workers share:

```
plan.json                    what is trained: a pure function of the configuration, written once, checked by every worker
rounds/1.json                of a plan that grows: what its next round trains, written once, checked by every worker
units/000123/0.lease         who trains this architecture (the file's time is the heartbeat); 1.lease: who took over
units/000123/0.failed.0.json an attempt that failed, and why
units/000123/0.released.json handed back before its end
units/000123/record.json     the result, written once
units/000123/1.damaged.json  a record that could not be used, set aside by whoever trains it again
units/000123/0/              the training's own folder: checkpoints, metrics.csv
<setting>.parquet            the merged table, in the format of ncp.benchmark
```

No file is ever changed after it was written (the lease's time apart), so there is no lock that a dead process could leave
behind, and a reader never sees half of anything. All of them are read through schemas (``schemas``, ``leases``, ``reading``),
since others may have written them.
"""

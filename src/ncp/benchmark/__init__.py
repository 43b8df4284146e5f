"""Tables of trained architectures: import, store, query, statistics. Needs numpy and pyarrow, each where it is used."""

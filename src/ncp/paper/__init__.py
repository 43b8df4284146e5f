"""The paper, table by table: what it prints, its searches done here, judges that they never saw, and what holds of its claims."""

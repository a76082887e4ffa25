"""One script a program: run inside that program's own environment, it synthesizes one integer-coded table."""

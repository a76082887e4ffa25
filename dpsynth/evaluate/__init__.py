"""How near a synthetic table is to the real one. The answers are private: they are read off real rows."""

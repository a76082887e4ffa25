"""The graphical model: from noisy marginals to one consistent distribution, and from it to rows."""

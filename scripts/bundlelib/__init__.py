"""Makes a bundle: one reproducible archive for machines without a network, and its manifest."""

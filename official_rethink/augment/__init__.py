"""Augment-S1 to S4 (Zoph et al., Table 1): policies, geometry, colour."""

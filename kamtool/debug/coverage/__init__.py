"""Which statements of a cfg ran, and which ways out of its conditions were taken."""

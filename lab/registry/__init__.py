"""Which model is in production: decided by a verdict, kept in git, shown everywhere else."""

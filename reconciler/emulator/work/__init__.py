"""What really runs: local programs as whole process groups, their logs, and what a killed server left behind."""

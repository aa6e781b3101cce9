"""Recipes of other trainers -> manifests: what each key becomes here, and what is said of those that become nothing."""

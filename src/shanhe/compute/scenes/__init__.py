"""Algorithms of one purpose that run in `scene_child`: each needs an extra, and nothing of the city."""

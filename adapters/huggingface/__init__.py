"""Hosted datasets: where their files lie, how they are laid out, and what their rows contain."""

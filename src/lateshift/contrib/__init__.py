"""Integrations with other frameworks: one file each, built on public names only."""

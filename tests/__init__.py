"""Tests: they mirror the rooms and read as the specification."""

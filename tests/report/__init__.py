"""Tests of curate.report."""

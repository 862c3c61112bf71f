"""Evaluation and baseline to verdict."""

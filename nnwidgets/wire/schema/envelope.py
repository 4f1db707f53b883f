"""What several parts of the wire's schema are made of."""

from __future__ import annotations

Number = int | float | str
"""Integers beyond 2^53 travel as decimal strings; NaN and infinities as "NaN", "Infinity", "-Infinity"."""

"""Looks at frames and says which scene they show. Judging needs nothing but NumPy."""

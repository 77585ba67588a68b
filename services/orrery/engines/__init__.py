"""Engines: what evaluates a transformer. One call signature (`engine.Engine`), several ways behind it."""

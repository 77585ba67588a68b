"""Trains the miniature: a tiny world model of Cosmos Predict2's classes, on scenes that `orrery.miniature` draws.

    PYTHONPATH=build python -m miniature --work DIR --out DIR

Steps, each resumed from its last checkpoint: the video tokenizer; the latents of the training scenes; text encoder and both
denoisers together; the components as diffusers and transformers save them.
"""

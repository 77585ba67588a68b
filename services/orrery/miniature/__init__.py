"""The world of the miniature models: scenes of moving shapes, their captions and their pictures. Needs nothing but NumPy."""

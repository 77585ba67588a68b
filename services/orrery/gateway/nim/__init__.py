"""The shape of the Cosmos NIM over the same engine."""

"""Messages and stubs of the gRPC API, written by `make stubs` from `proto/`."""

"""The gateway's gRPC side: the same jobs, checks and errors as over HTTP."""

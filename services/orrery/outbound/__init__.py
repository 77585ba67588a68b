"""Where a call from inside may go that somebody outside asked for."""

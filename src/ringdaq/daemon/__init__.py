"""The only place that knows everyone: composition, supervision, control socket, safety."""

"""Which views of which examples are read, and the residual stream at them."""

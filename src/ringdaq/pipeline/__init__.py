"""What is computed on the way: graphs of stages between ring and ring."""

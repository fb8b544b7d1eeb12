"""How samples travel here: rings of Arrow record batches in shared memory."""

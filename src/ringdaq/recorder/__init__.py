"""How samples are kept: a journal and NeXus HDF5."""

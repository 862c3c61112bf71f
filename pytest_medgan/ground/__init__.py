"""Services that every room may use: files, digests, processes, pools, specification strings, plain data, page parts."""

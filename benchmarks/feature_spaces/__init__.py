"""Which faults of a generative model each feature space sees, measured on nodule patches of patients it never had."""

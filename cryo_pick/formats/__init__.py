"""One module per file format. Only here do x y z, voxel units and file layouts exist."""

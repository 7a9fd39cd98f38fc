"""What makes training clusterable: Laplacian eigenvalues and cuts of given groups, derivatives included (C, 5)."""

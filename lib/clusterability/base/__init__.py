"""What every room uses: errors, files, threads, statistics. It knows nothing of networks."""

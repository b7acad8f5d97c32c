"""What every room of train/ needs: files, paths, options, progress, statistics, metrics."""
